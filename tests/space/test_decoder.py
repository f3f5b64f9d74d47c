"""The decoder says what transformers' `generate` says, in float32; 4-bit weights stay what they were."""

import copy
import random

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from kira import four_bits
from kira.batch import greedy
from kira.decoder import Decoder, require_llama
from kira.errors import UserError
from train_space.compare import RUNS
from train_space.generation import Decoding, generate, only_base


def prompts(engine, count):
    rng = random.Random(0)
    return [[rng.randrange(5, len(engine.tokenizer)) for _ in range(rng.randrange(3, 30))] for _ in range(count)]


@pytest.mark.parametrize("slots", [1, 4, 16])
def test_greedy_tokens_are_those_of_generate(engine, slots):
    asked, decoding = prompts(engine, 9), Decoding(24, 4)
    adapted = [run == "tuned" for run in RUNS for _ in asked]
    made = greedy(Decoder(engine.model, slots, 64), asked * 2, adapted, 24, engine.ends)
    plain = []
    for run in RUNS:
        with only_base(engine.model, run == "base"):
            plain += generate(engine.model, engine.tokenizer, asked, engine.ends, decoding, run)
    assert made == plain
    assert made[:9] != made[9:], "base and tuned must differ, or nothing was compared"


@pytest.fixture(scope="module")
def two_adapters():
    """A small Llama, and what puts the first, the second or both of two unlike adapters on a copy of it."""
    torch.manual_seed(0)
    base = tiny(hidden_size=64, num_hidden_layers=2, eos_token_id=None)
    configs = [LoraConfig(r=4, lora_alpha=32, init_lora_weights=False, target_modules=["q_proj", "v_proj", "up_proj"]),
               LoraConfig(r=7, lora_alpha=70, init_lora_weights=False, target_modules=["k_proj", "v_proj", "o_proj"],
                          rank_pattern={"v_proj": 3})]

    def with_adapters(*numbers):
        model = copy.deepcopy(base)
        for at, number in enumerate(numbers):
            torch.manual_seed(number)
            if at == 0:
                model = get_peft_model(model, configs[number - 1])
            else:
                model.add_adapter("another", configs[number - 1])
        return model.eval()

    return with_adapters


@pytest.mark.parametrize("slots", [1, 3, 8])
def test_each_row_of_two_adapters_is_what_peft_says_with_that_one_alone(two_adapters, slots):
    rng = random.Random(1)
    asked = [[rng.randrange(64) for _ in range(rng.randrange(3, 20))] for _ in range(4)]
    numbers = [number for _ in asked for number in (0, 1, 2)]
    rows = [prompt for prompt in asked for _ in range(3)]
    made = greedy(Decoder(two_adapters(1, 2), slots, 48), rows, numbers, 20, set())
    models = [two_adapters(1), two_adapters(1), two_adapters(2)]
    alone = []
    for number, prompt in zip(numbers, rows, strict=True):
        ids = torch.tensor([prompt])
        with only_base(models[number], number == 0), torch.inference_mode():
            found = models[number].generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=20,
                                            do_sample=False, pad_token_id=0)
        alone.append(found[0, len(prompt):].tolist())
    assert made == alone
    for base, first, second in zip(made[::3], made[1::3], made[2::3], strict=True):
        assert base != first != second != base, "three models must differ, or nothing was compared"


@pytest.mark.parametrize("number", [1, 2])
def test_rows_of_one_adapter_alone_leave_the_other_out(two_adapters, number):
    both, alone = Decoder(two_adapters(1, 2), 2, 48), Decoder(two_adapters(number), 2, 48)
    asked = [[5, 9, 2, 40], [7, 7]]
    given = both.admit([0, 1], asked, [number] * 2), alone.admit([0, 1], asked, [True] * 2)
    assert torch.allclose(*given, atol=1e-4) and given[0].std() > 0.01


def test_a_number_that_no_adapter_has_is_an_error(two_adapters):
    with pytest.raises(RuntimeError):
        Decoder(two_adapters(1, 2), 1, 48).admit([0], [[5]], [3])


def test_logits_of_both_paths_are_close(engine):
    asked = prompts(engine, 2)
    logits = Decoder(engine.model, 2, 64).admit([0, 1], asked, [True, True])
    for row, ids in zip(logits, asked, strict=True):
        with torch.inference_mode():
            assert torch.allclose(row, engine.model(torch.tensor([ids])).logits[0, -1], atol=1e-4)


def test_four_bits_give_back_the_weights_of_the_file():
    torch.manual_seed(0)
    d, m = torch.rand(64, 4, 1) * 0.01 + 0.001, -torch.rand(64, 4, 1) * 0.1
    levels = torch.randint(0, 16, (64, 4, 32)).float()
    levels[..., 0], levels[..., 1] = 0, 15
    weight = (levels * d + m).view(64, 128)
    packed = four_bits.pack(weight.bfloat16().float())
    x = torch.randn(3, 128).bfloat16().float()
    assert packed is not None and packed.group == 32
    exact = x @ weight.T
    assert (four_bits.product(x, packed) - exact).norm() < 0.01 * exact.norm()


def test_other_weights_are_not_forced_onto_the_grid():
    assert four_bits.pack(torch.randn(64, 128)) is None
    assert four_bits.pack(torch.zeros(60, 128)) is None
    assert four_bits.pack(torch.zeros(64, 100)) is None


def test_eight_bits_are_close():
    torch.manual_seed(0)
    weight, x = torch.randn(64, 128), torch.randn(3, 128)
    exact = x @ weight.T
    assert (four_bits.product(x, four_bits.pack_in_8(weight)) - exact).norm() < 0.02 * exact.norm()


def tiny(**over):
    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "vocab_size": 64,
             "num_attention_heads": 2, "num_key_value_heads": 1}
    return LlamaForCausalLM(LlamaConfig(**shape | over))


def test_other_architectures_are_refused_in_a_sentence():
    require_llama(tiny())
    for other in ({"attention_bias": True}, {"mlp_bias": True}, {"hidden_act": "gelu"}):
        with pytest.raises(UserError, match="Llama"):
            require_llama(tiny(**other))


@pytest.mark.parametrize("other", [{"use_dora": True}, {"modules_to_save": ["lm_head"]},
                                   {"target_modules": ["q_proj", "embed_tokens"]}])
def test_other_adapters_are_refused_in_a_sentence(other):
    require_llama(get_peft_model(tiny(), LoraConfig(target_modules=["q_proj", "down_proj"])))
    with pytest.raises(UserError, match="plain LoRA"):
        require_llama(get_peft_model(tiny(), LoraConfig(**{"target_modules": ["q_proj"]} | other)))
