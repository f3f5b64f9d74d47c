"""Answers on a CPU: Kira's decoder with 4-bit weights against transformers in float32 and llama.cpp.

    python -m benchmarks.decode_cpu --base FOLDER --gguf FILE

`--base`: SmolLM2-135M-Instruct's weights as `train_space.embedded.convert` makes them from `--gguf`, the file that
llama.cpp reads (with `pip install xllamacpp`; without it the row has no such peer). The adapter is on every linear
layer and unmerged; llama.cpp runs without one, which flatters it. `--profile` measures no row, but prints where the
time of a step goes.
"""

import argparse
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import torch
from transformers import AutoTokenizer

from benchmarks.answers import generate_step, load, stream
from benchmarks.row import write
from kira.batch import Batch
from kira.decoder import Decoder
from kira.prompt import build_messages, encode_prompt

COMMAND = "python -m benchmarks.decode_cpu"
NEW, REPEATS = 128, 5
PARTS = {  # of a step, by the operations that do the work
    "products with 4-bit weights": ["aten::_weight_int4pack_mm_for_cpu"],
    "head in 8 bits": ["aten::_weight_int8pack_mm"],
    "the adapter's products": ["aten::mm", "aten::addmm_"],
    "attention": ["aten::_scaled_dot_product_flash_attention_for_cpu"],
}
QUESTION = "What is asthma? Explain in detail."


def llama_cpp(gguf: str) -> float | None:
    try:
        import xllamacpp
    except ImportError:
        return None
    options = xllamacpp.CommonParams()
    options.model.path, options.n_ctx, options.verbosity = gguf, 1024, -1
    options.cpuparams.n_threads = torch.get_num_threads()
    server = xllamacpp.Server(options)
    asked = {"messages": build_messages(QUESTION), "max_tokens": NEW, "temperature": 0, "ignore_eos": True}
    speeds = []
    for _ in range(REPEATS):
        made = server.handle_chat_completions(asked)
        made = made if isinstance(made, dict) else json.loads(made)
        speeds.append(made["timings"]["predicted_per_second"])
    return statistics.median(speeds)


def profile(decoder: Decoder, prompt: list[int], adapted: list[bool]) -> None:
    """Prints the milliseconds of a step: the median without profiler, of it each part's as the profiler has them.

    Operations include those that others call.
    """
    rows, steps = len(adapted), 30

    def seconds():
        start = time.perf_counter()
        decoder.step(rows)
        decoder.tokens.tolist()
        return time.perf_counter() - start

    decoder.admit(list(range(rows)), [prompt] * rows, adapted)
    whole = statistics.median([seconds() for _ in range(2 * steps)][steps:]) * 1e3
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        for _ in range(steps):
            seconds()
    found = {e.key: (e.self_cpu_time_total / 1e3 / steps, e.count // steps) for e in seen.key_averages()}
    parts = {name: [sum(column) for column in zip(*(found.pop(o, (0, 0)) for o in operations), strict=True)]
             for name, operations in PARTS.items()}
    rest = whole - sum(spent for spent, _ in parts.values()), sum(count for _, count in found.values())
    print(f"A step of {rows} row{'s' * (rows > 1)}: {whole:.1f} ms")
    for name, (spent, count) in {**parts, "the rest": rest}.items():
        print(f"  {name:30s} {spent:5.1f} ms in {count:4d} operations")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True)
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    # As in the Space, loading is another thread's, which ends: while two threads keep teams of OpenMP threads on two
    # cores, those wait asleep instead of in a loop, and every small product takes twice the time.
    prompt = encode_prompt(AutoTokenizer.from_pretrained(options.base), build_messages(QUESTION))
    with ThreadPoolExecutor(1) as loader:
        model = loader.submit(load, options.base, torch.float32, "cpu").result()
        decoder = loader.submit(Decoder, model, 16, 1536, pack=True).result()
        if not options.profile:
            stock, stock_pair = (
                loader.submit(generate_step, model, prompt, rows, 32).result()[0] for rows in (1, 2))
    if options.profile:
        for adapted in ([True], [False, True]):
            profile(decoder, prompt, adapted)
        return
    batch, medians = Batch(decoder), {}
    for rows in ([True], [False, True]):
        stream(batch, prompt, rows, NEW)
        runs = [stream(batch, prompt, rows, NEW) for _ in range(REPEATS)]
        medians[len(rows)] = [statistics.median(column) for column in zip(*runs, strict=True)]
    (one, first), (pair, _) = medians[1], medians[2]
    peer = llama_cpp(options.gguf)  # last: its threads go on waiting in a loop
    beside = f"llama.cpp without adapter {peer:.1f} tok/s; " if peer else ""
    rows = (
        ("one answer", 1 / one, 1 / stock, "at least 100"),
        ("base and tuned pair, both answers", 2 / pair, 2 / stock_pair, "at least 130"),
    )
    for name, value, stock_value, target in rows:
        write("decode_cpu", name, round(value, 1), "tok/s", peer="generate, float32, adapter unmerged",
              peer_value=round(stock_value, 1), target=target, command=COMMAND,
              note=beside + f"median of {REPEATS}, {NEW} tokens, {torch.get_num_threads()} threads")
    write("decode_cpu", "first token", round(first * 1e3), "ms", target="under 250", command=COMMAND,
          note=f"prompt of {len(prompt)} tokens")


if __name__ == "__main__":
    main()
