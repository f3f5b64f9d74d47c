"""The decoder says what transformers' `generate` says, in float32; 4-bit weights stay what they were."""

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
    return LlamaForCausalLM(LlamaConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=1, vocab_size=64,
                                        num_attention_heads=2, num_key_value_heads=1, **over))


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
