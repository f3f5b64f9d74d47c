"""Answers on a CPU: Kira's decoder with 4-bit weights against transformers in float32 and llama.cpp.

    python -m benchmarks.decode_cpu --base FOLDER --gguf FILE

`--base`: SmolLM2-135M-Instruct's weights as `train_space.embedded.convert` makes them from `--gguf`, the file that
llama.cpp reads (with `pip install xllamacpp`; without it the row has no such peer). The adapter is on every linear
layer and unmerged; llama.cpp runs without one, which flatters it.
"""

import argparse
import json
import statistics
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True)
    parser.add_argument("--gguf", required=True)
    options = parser.parse_args()
    # As in the Space, loading is another thread's, which ends: while two threads keep teams of OpenMP threads on two
    # cores, those wait asleep instead of in a loop, and every small product takes twice the time.
    prompt = encode_prompt(AutoTokenizer.from_pretrained(options.base), build_messages(QUESTION))
    with ThreadPoolExecutor(1) as loader:
        model = loader.submit(load, options.base, torch.float32, "cpu").result()
        batch = loader.submit(lambda: Batch(Decoder(model, 16, 1536, pack=True))).result()
        stock, stock_pair = (loader.submit(generate_step, model, prompt, rows, 32).result()[0] for rows in (1, 2))
    medians = {}
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
