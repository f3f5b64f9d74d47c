"""Training on one GPU: CUDA graphs against stock TRL, on TinyLlama's shape with random weights.

    python -m benchmarks.train_gpu [--steps 52] [--only PART] [--profile]

Each stock run takes `--steps` steps of the real schedule, its first two left out, and is extrapolated to the whole run;
the graphed run beside it takes the same steps, so that their losses can be compared, and then the whole run.
`--profile` prints instead where a graphed step's time goes, kernel by kernel.
"""

import argparse
import json
import random
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import TrainerCallback

from benchmarks.row import write
from kira.prompt import training_row
from tests import tiny_model
from train_space import recipe as recipes
from train_space import train

ROWS, VALIDATION_ROWS, TOKENS = 2700, 300, 107
WORDS = ("fever body heart lungs oxygen blood temperature usual range plain terms health topics medical explain pumps "
         "through take").split()
SHAPE = {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32,
         "num_key_value_heads": 4, "max_position_embeddings": 2048}
COMMAND = "python -m benchmarks.train_gpu"
PEAK = 800e12  # bf16 FLOP/s of a large matrix product, measured on the H100 (DESIGN.md, section 6)


def make_base(folder: Path, shape: dict | None = None) -> None:
    """TinyLlama-1.1B's shape (or another) with random weights in bfloat16, and a tokenizer of 400 tokens."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tiny_model.make(folder)
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=32_000, bos_token_id=1, eos_token_id=2, pad_token_id=2, **(shape or SHAPE))
    with torch.device("cuda"):
        LlamaForCausalLM._from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    torch.cuda.empty_cache()


def make_rows(folder: Path, tokenizer, count: int = ROWS) -> int:
    """`count` random question-answer rows of about 107 tokens; returns the tokens of the training split."""
    import pyarrow
    from pyarrow import parquet

    rng, tokens = random.Random(0), 0
    folder.mkdir(parents=True, exist_ok=True)
    for split, size in (("train", count), ("validation", VALIDATION_ROWS)):
        rows = []
        for _ in range(size):
            answer = " ".join(rng.choice(WORDS) for _ in range(max(4, int(rng.gammavariate(4, 16.5)))))
            rows.append({"question": f"What is {rng.choice(WORDS)}?", "answer": answer})
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / f"{split}-00000-of-00001.parquet")
        if split == "train":
            made = [training_row(r["question"], r["answer"]) for r in rows]
            tokens = sum(map(len, tokenizer.apply_chat_template(
                [m["prompt"] + m["completion"] for m in made], tokenize=True, return_dict=False)))
    return tokens


class Bench:
    """Runs recipes on the same base and rows."""

    def __init__(self, work: Path):
        from transformers import AutoTokenizer

        self.work, self.base, self.stock = work, work / "base", {}
        make_base(self.base)
        self.tokens = make_rows(work / "data", AutoTokenizer.from_pretrained(self.base))

    def run(self, preset: str, callbacks: list = (), **over) -> dict:
        """What `train` reports, peak memory from the first step on, and the losses by step."""
        run_dir = self.work / "run"
        shutil.rmtree(run_dir, ignore_errors=True)
        shutil.copytree(self.work / "data", run_dir / "data" / "data")
        recipe = recipes.load(preset, {k: str(v) for k, v in over.items()} | {
            "base_repo": str(self.base), "early_stopping_patience": "1000",
            "generation_probe_rows": "0"})  # stock training gives no answers
        learnt = train.train(recipe, run_dir, "main", train.inputs(recipe, run_dir, "main"), callbacks=callbacks)
        log = [json.loads(line) for line in (run_dir / "train" / "log.jsonl").read_text().splitlines()]
        return learnt | {
            "peak_mb": torch.cuda.max_memory_allocated() >> 20,
            "losses": {e["step"]: e["loss"] for e in log if "loss" in e},
            "validation": {e["step"]: e["eval_loss"] for e in log if "eval_loss" in e},
        }


def loss_gap(stock: dict, graphed: dict) -> float:
    """Largest relative difference of the loss; a graphed run logs the mean of the steps since it last logged."""
    gaps, before = [], 0
    for step, loss in graphed["losses"].items():
        if step in stock["losses"]:
            window = [stock["losses"][s] for s in range(before + 1, step + 1)]
            gaps.append(abs(loss - sum(window) / len(window)) / loss)
        before = step
    return max(gaps)


def compare(bench: Bench, name: str, preset: str, steps: int, target: str, over: dict) -> None:
    """Stock and graphed: same losses (dropout 0), then the whole run against the stock one extrapolated."""
    short = {"lora_dropout": 0.0, "max_steps": steps, "eval_steps": steps}
    if preset not in bench.stock:
        bench.stock[preset] = bench.run(preset, **short, cuda_graph="false")
    stock, graphed = bench.stock[preset], bench.run(preset, **over | short)
    gap = loss_gap(stock, graphed)
    whole = bench.run(preset, **over)
    print(json.dumps({"name": name, "stock": stock, "graphed": graphed, "whole": whole}), flush=True)
    assert gap < 0.01, f"the loss curves differ by {gap:.2%}"
    write("train_gpu", name, round(whole["training_time_s"], 1), "s", peer="stock SFTTrainer, extrapolated",
          peer_value=round(stock["median_step_s"] * whole["steps"], 1),
          floor=round(4 * 1.1e9 * bench.tokens * 3 / PEAK, 1), target=target, command=COMMAND, note=(
              f"{whole['steps']} steps with captures, validations and checkpoints; peak {whole['peak_mb']} MB (stock "
              f"{stock['peak_mb']} MB); largest loss difference over ten steps, dropout 0: {gap:.2%}; "
              + ", ".join(f"{part} {value:.1f} s" for part, value in whole["seconds"].items())))
    estimate_row(name, whole)


def estimate_row(name: str, whole: dict) -> None:
    """What the run said after its third step, beside what it took."""
    said = whole["estimate"]
    write("train_gpu", f"estimate: {name}", said["training_time_s"], "s", peer="taken",
          peer_value=whole["training_time_s"], target="time within 20 %, memory within 15 %", command=COMMAND, note=(
              f"time {said['training_time_s'] / whole['training_time_s'] - 1:+.1%}; peak memory "
              f"{said['peak_memory_mb']['gpu']} MB, taken {whole['peak_mb']} MB: "
              f"{said['peak_memory_mb']['gpu'] / whole['peak_mb'] - 1:+.1%}"))


class Profiled(TrainerCallback):
    """Prints the kernels of steps 21 to 25 by their share of a step's time, at the end of training."""

    FIRST, COUNT = 20, 5

    def __init__(self):
        self.profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step in (self.FIRST, self.FIRST + self.COUNT):
            torch.cuda.synchronize()
            (self.profiler.start if state.global_step == self.FIRST else self.profiler.stop)()

    def on_train_end(self, args, state, control, **kwargs):
        events = sorted(self.profiler.key_averages(), key=lambda e: -e.self_device_time_total)
        total = sum(e.self_device_time_total for e in events)
        count = sum(e.count for e in events)
        print(f"{total / self.COUNT / 1e3:.1f} ms of kernels a step, {count // self.COUNT} kernels")
        for e in events[:24]:
            print(f"{e.self_device_time_total / self.COUNT / 1e3:7.2f} ms {e.count // self.COUNT:6} x {e.key[:150]}")


SEED = {"eval_steps": 169}  # three validations in 507 steps, as `tuned` has in its 127
PARTS = {
    "tuned": ("train, tuned recipe", "tuned", "at most 15 s", {}),
    "seed": ("train, seed recipe", "seed", "at least 8 times stock, under 1,500 MB", SEED),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=52)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for part in options.only or PARTS:
            name, preset, target, over = PARTS[part]
            if options.profile:
                bench.run(preset, callbacks=[Profiled()], **over | {"max_steps": 30, "eval_steps": 30})
            else:
                compare(bench, name, preset, options.steps, target, over)


if __name__ == "__main__":
    main()
