"""The packed layers compute the loss and gradients of transformers and PEFT; attention's GPU kernel has a stand-in.

Whole training runs through them are compared on a GPU: `python -m benchmarks.train_gpu` asserts equal loss curves.
"""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from train_space import packed_llama
from train_space.packed_llama import PackedLlama

LENGTHS = (7, 12, 5)


def attention_row_by_row(q, k, v, starts, _, longest, __, **options):
    """PyTorch's variable-length attention exists on GPUs only."""
    assert options["window_size"] == (-1, 0)
    groups, made = q.shape[1] // k.shape[1], []
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    for start, end in zip(starts.tolist(), starts.tolist()[1:], strict=False):
        assert end - start <= longest
        row = [x[start:end].transpose(0, 1) for x in (q, k, v)]
        made.append(functional.scaled_dot_product_attention(*row, is_causal=True).transpose(0, 1))
    return torch.cat(made)


@pytest.fixture(autouse=True)
def attention(monkeypatch):
    monkeypatch.setattr(packed_llama, "varlen_attn", attention_row_by_row)


def model(targets="all-linear", dropout=0.0):
    torch.manual_seed(0)
    config = LlamaConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=3, vocab_size=128,
                         num_attention_heads=4, num_key_value_heads=2)
    made = get_peft_model(LlamaForCausalLM(config), LoraConfig(
        r=8, lora_alpha=16, lora_dropout=dropout, target_modules=targets, task_type="CAUSAL_LM"))
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.05)
    return made.train()


def rows():
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 128, (n,), generator=generator) for n in LENGTHS]


def packed_loss(packed, padding=0, training=True):
    """Loss of `rows` laid end to end, followed by `padding` tokens without labels, as GraphedSFTTrainer lays them."""
    ids = torch.cat([*rows(), torch.zeros(padding, dtype=torch.long)])
    labels = torch.cat([*(torch.cat([r[1:], torch.tensor([-100])]) for r in rows()), torch.full((padding,), -100)])
    positions = torch.cat([*(torch.arange(n) for n in LENGTHS), torch.zeros(padding, dtype=torch.long)])
    starts = torch.tensor([0, *LENGTHS, padding, 0], dtype=torch.int32).cumsum(0).int()
    packed.round()
    return packed.loss_sum(packed.hidden(ids, positions, starts, max(*LENGTHS, padding), training), labels)


@pytest.mark.parametrize("saves_memory", [False, True])
@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "v_proj"], ["k_proj", "o_proj", "up_proj"]])
def test_loss_and_gradients_are_those_of_peft(targets, saves_memory):
    plain = model(targets)
    logits = [plain(input_ids=r[None]).logits[0, :-1] for r in rows()]
    loss = sum(functional.cross_entropy(x, r[1:], reduction="sum") for x, r in zip(logits, rows(), strict=True))
    loss.backward()
    packed = PackedLlama(model(targets), saves_memory)
    made = packed_loss(packed, padding=9)
    made.backward()
    assert made.item() == pytest.approx(loss.item(), rel=1e-5)
    wanted = {name: p.grad for name, p in plain.named_parameters() if p.requires_grad}
    # Two models of one seed: their parameters stand in the same order, though not that of `learnt`.
    sizes = [p.numel() for p in packed.learnt]
    found = {id(p): g.view_as(p) for p, g in zip(packed.learnt, packed.gradient.split(sizes), strict=True)}
    for (name, gradient), parameter in zip(wanted.items(), trainable(packed), strict=True):
        assert torch.allclose(found[id(parameter)], gradient, atol=1e-4, rtol=1e-4), name


def trainable(packed):
    """The adapter's parameters in the model's own order."""
    for layer in packed.decoder.layers:
        yield from (p for p in layer.parameters() if p.requires_grad)


def test_recomputed_layers_with_dropout_are_the_kept_ones():
    outcomes = []
    for saves_memory in (False, True):
        packed = PackedLlama(model(dropout=0.3), saves_memory)
        torch.manual_seed(3)
        loss = packed_loss(packed)
        loss.backward()
        outcomes.append((loss.item(), packed.gradient))
    assert outcomes[0][0] == outcomes[1][0]
    assert torch.equal(outcomes[0][1], outcomes[1][1]) and outcomes[0][1].abs().sum() > 0


def test_dropout_drops_in_training_only():
    packed = PackedLlama(model(dropout=0.3), False)
    with torch.no_grad():
        evaluated = [packed_loss(packed, training=False).item() for _ in range(2)]
    trained = [packed_loss(packed).item() for _ in range(2)]
    assert evaluated[0] == evaluated[1]
    assert len({*evaluated, *trained}) == 3


def test_modules_still_hold_their_weights():
    one = model()
    before = {name: p.detach().clone() for name, p in one.named_parameters()}
    PackedLlama(one, False)
    for name, parameter in one.named_parameters():
        assert torch.equal(parameter, before[name]), name
