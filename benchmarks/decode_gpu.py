"""Answers on one GPU: Kira's decoder against transformers' `generate`, on TinyLlama's shape with random weights.

    python -m benchmarks.decode_gpu

The adapter is on every linear layer and unmerged. Equal greedy tokens in float32 are asserted first, on the same shape.
"""

import random
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import torch

from benchmarks.answers import generate_step, load, stream
from benchmarks.row import write
from benchmarks.train_gpu import make_base
from kira.batch import Batch, greedy
from kira.decoder import Decoder
from train_space.generation import Decoding, generate

COMMAND = "python -m benchmarks.decode_gpu"
BYTES_PER_S = 3.0e12  # of an H100, measured (DESIGN.md, section 6)
NEW, ROWS, SLOTS = 160, 300, 64
PROMPT = list(range(100, 160))


def prompts(count: int) -> list[list[int]]:
    rng = random.Random(0)
    return [[rng.randrange(5, 30_000) for _ in range(rng.randrange(20, 60))] for _ in range(count)]


def seconds(function) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    torch.cuda.synchronize()
    return time.perf_counter() - start


class Pad:
    """What `generate` needs of a tokenizer."""

    pad_token_id = 0


def assert_equal_tokens(model) -> None:
    asked = prompts(6)
    adapted = [i % 2 == 1 for i in range(6)]
    made = greedy(Decoder(model, 4, 160), asked, adapted, 32, set())
    for i, prompt in enumerate(asked):
        with nullcontext() if adapted[i] else model.disable_adapter():
            (plain,) = generate(model, Pad, [prompt], set(), Decoding(32, 1), "check")
        assert made[i] == plain, f"row {i} differs"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_base(Path(folder))
        assert_equal_tokens(load(folder, torch.float32, "cuda"))
        torch.cuda.empty_cache()
        model = load(folder, torch.bfloat16, "cuda")
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    floor = weights / BYTES_PER_S
    stock, stock_first = generate_step(model, PROMPT, 1, 60)
    stock_pair, _ = generate_step(model, PROMPT, 2, 60)
    batch = Batch(Decoder(model, 16, 1536))
    stream(batch, PROMPT, [True], NEW), stream(batch, PROMPT, [False, True], NEW)
    one, first = stream(batch, PROMPT, [True], NEW)
    pair, _ = stream(batch, PROMPT, [False, True], NEW)
    eight = Batch(Decoder(model, 16, 1536))
    stream(eight, PROMPT, [False, True] * 8, NEW)
    crowd, _ = stream(eight, PROMPT, [False, True] * 8, NEW)
    common = {"command": COMMAND}
    write("decode_gpu", "one answer", round(1 / one, 1), "tok/s", peer="generate, adapter unmerged",
          peer_value=round(1 / stock, 1), floor=round(1 / floor, 1), target="at least 250", **common)
    write("decode_gpu", "first token", round(first * 1e3, 1), "ms", peer="generate", target="under 60",
          peer_value=round(stock_first * 1e3, 1), note="prompt of 60 tokens, graphs captured", **common)
    write("decode_gpu", "base and tuned pair", round(pair / one, 3), "x one answer", peer="generate, both adapted",
          peer_value=None, target="at most 1.15", note=f"one {one * 1e3:.2f} ms a step, pair {pair * 1e3:.2f} ms, "
          f"eight pairs {crowd * 1e3:.2f} ms; generate's pair of adapted rows {stock_pair * 1e3:.1f} ms", **common)
    asked = prompts(ROWS)
    decoder = Decoder(model, SLOTS, 512)
    taken = seconds(lambda: greedy(decoder, asked, [True] * ROWS, NEW, set()))
    plain = seconds(lambda: generate(model, Pad, asked[:SLOTS], set(), Decoding(NEW, SLOTS), "stock"))
    write("decode_gpu", "evaluation, 300 rows of 160 tokens", round(taken, 2), "s", target="at least 4 times generate",
          peer="generate in batches of 64, one batch extrapolated", peer_value=round(plain * ROWS / SLOTS, 1),
          floor=round(-(-ROWS // SLOTS) * NEW * floor, 2), note="captures included", **common)
    decoder.admit(list(range(SLOTS)), [PROMPT] * SLOTS, [True] * SLOTS)
    decoder.step(SLOTS)

    def steps():
        for _ in range(100):
            decoder.step(SLOTS)
            decoder.tokens.tolist()

    step = seconds(steps) / 100
    stock64, _ = generate_step(model, PROMPT, SLOTS, 60)
    write("decode_gpu", "batch of 64", round(SLOTS / step), "tok/s", peer="generate", floor=round(SLOTS / floor),
          peer_value=round(SLOTS / stock64), target="at least 10,000", **common)


if __name__ == "__main__":
    main()
