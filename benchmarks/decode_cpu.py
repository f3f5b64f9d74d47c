"""Answers on a CPU: Kira's decoder with 4-bit weights against transformers in float32 and llama.cpp.

    python -m benchmarks.decode_cpu --base FOLDER --gguf FILE

`--base`: SmolLM2-135M-Instruct's weights as `train_space.embedded.convert` makes them from `--gguf`, the file that
llama.cpp reads (with `pip install xllamacpp`; without it the row has no such peer). The adapter is on every linear
layer and unmerged; llama.cpp runs without one, which flatters it.
"""

import argparse
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import torch
from peft import LoraConfig, get_peft_model

from benchmarks.row import write
from kira.batch import Batch
from kira.decoder import Decoder
from kira.prompt import build_messages, encode_prompt

COMMAND = "python -m benchmarks.decode_cpu"
NEW, REPEATS = 128, 5
QUESTION = "What is asthma? Explain in detail."


def load(base: str):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    adapter = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(model, adapter).eval()
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.02)
    return model, encode_prompt(AutoTokenizer.from_pretrained(base), build_messages(QUESTION))


def stream(batch: Batch, prompt: list[int], adapted: list[bool]) -> tuple[float, float]:
    """(tokens per second over all rows after the first token, seconds to the first token)."""
    start = time.perf_counter()
    answer = batch.answer(prompt, adapted, NEW, 0.0, 1.0, 0)
    answer.steps.get()
    first = time.perf_counter() - start
    while answer.steps.get() is not None:
        pass
    return (NEW - 1) * len(adapted) / (time.perf_counter() - start - first), first


def stock(model, prompt: list[int], rows: int) -> float:
    ids = torch.tensor([prompt] * rows)
    spent = {}
    for count in (1, 33):
        start = time.perf_counter()
        with torch.inference_mode():
            model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=count,
                           min_new_tokens=count, do_sample=False, pad_token_id=0)
        spent[count] = time.perf_counter() - start
    return 32 * rows / (spent[33] - spent[1])


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
    with ThreadPoolExecutor(1) as loader:
        model, prompt = loader.submit(load, options.base).result()
        batch = loader.submit(lambda: Batch(Decoder(model, 16, 1536, pack=True))).result()
        plain, plain_pair = (loader.submit(stock, model, prompt, rows).result() for rows in (1, 2))
    stream(batch, prompt, [True])
    one, first = map(statistics.median, zip(*(stream(batch, prompt, [True]) for _ in range(REPEATS)), strict=True))
    pair, _ = map(statistics.median, zip(*(stream(batch, prompt, [False, True]) for _ in range(REPEATS)), strict=True))
    peer = llama_cpp(options.gguf)  # last: its threads go on waiting in a loop
    beside = f"llama.cpp without adapter {peer:.1f} tok/s; " if peer else ""
    rows = (
        ("one answer", one, plain, "at least 100"),
        ("base and tuned pair, both answers", pair, plain_pair, "at least 130"),
    )
    for name, value, stock_value, target in rows:
        write("decode_cpu", name, round(value, 1), "tok/s", peer="generate, float32, adapter unmerged",
              peer_value=round(stock_value, 1), target=target, command=COMMAND,
              note=beside + f"median of {REPEATS}, {NEW} tokens, {torch.get_num_threads()} threads")
    write("decode_cpu", "first token", round(first * 1e3), "ms", target="under 250", command=COMMAND,
          note=f"prompt of {len(prompt)} tokens")


if __name__ == "__main__":
    main()
