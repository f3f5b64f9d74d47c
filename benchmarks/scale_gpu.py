"""Training on several GPUs of one machine: speed, the same loss, less memory a GPU.

    python -m benchmarks.scale_gpu [--only PART] [--rows 30000]

`ddp`: TinyLlama's shape, recipe `tuned`, one epoch of 30,000 rows on 1 GPU, then on all, with the same rows a step (the
loss must be the same) and with 64 rows a GPU. `qlora`: the same for `seed` (NF4). `resume`: killed on one GPU, resumed
on all. `fsdp`: a 7B shape whose full fine-tuning (16 bytes a parameter) no GPU here could hold, with LoRA over shards.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.row import write
from benchmarks.train_gpu import SHAPE, make_base, make_rows
from train_space import recipe as recipes
from train_space import train

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "python -m benchmarks.scale_gpu"
SHAPE_7B = SHAPE | {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_key_value_heads": 32}


def work(base: str, run_dir: str, preset: str, *over: str) -> None:
    """One process of a run; rank i writes what it learnt to RUN/rank-i.json."""
    folder = Path(run_dir)
    recipe = recipes.load(preset, dict(o.split("=", 1) for o in over) | {
        "base_repo": base, "early_stopping_patience": "1000", "generation_probe_rows": "0"})
    learnt = train.train(recipe, folder, "main", train.inputs(recipe, folder, "main"))
    learnt["peak_mb"] = torch.cuda.max_memory_allocated() >> 20
    (folder / f"rank-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(learnt))


class Bench:
    """Runs on so many GPUs over the same base and rows."""

    def __init__(self, work: Path, base: Path, rows: int):
        from transformers import AutoTokenizer

        self.work, self.base = work, base
        self.tokens = make_rows(work / f"data-{rows}", AutoTokenizer.from_pretrained(base), rows)
        self.data = work / f"data-{rows}"

    def start(self, name: str, gpus: int, config: str, preset: str, **over):
        """(process, run folder); an existing folder is gone on with."""
        run_dir = self.work / name
        if not run_dir.exists():
            shutil.copytree(self.data, run_dir / "data" / "data")
        launcher = ["-m", "accelerate.commands.launch", "--config_file", ROOT / f"recipes/accelerate/{config}.yaml",
                    "--num_processes", gpus] if gpus > 1 else []
        arguments = [sys.executable, *launcher, "-m", "benchmarks.scale_gpu", "--worker", self.base, run_dir, preset,
                     *(f"{k}={v}" for k, v in over.items())]
        return subprocess.Popen(list(map(str, arguments)), cwd=ROOT, start_new_session=True), run_dir

    def run(self, name: str, gpus: int, config: str, preset: str, **over) -> dict:
        """What rank 0 learnt, the largest peak of all, and the losses by step."""
        process, run_dir = self.start(name, gpus, config, preset, **over)
        if process.wait():
            raise SystemExit(f"{name} on {gpus} GPUs failed")
        learnt = json.loads((run_dir / "rank-0.json").read_text())
        learnt["peak_mb"] = max(json.loads(p.read_text())["peak_mb"] for p in run_dir.glob("rank-*.json"))
        learnt["losses"] = losses(run_dir)
        print(json.dumps({"run": name, "gpus": gpus, **{k: v for k, v in learnt.items() if k != "losses"}}), flush=True)
        return learnt


def losses(run_dir: Path) -> dict[int, float]:
    log = [json.loads(line) for line in (run_dir / "train" / "log.jsonl").read_text().splitlines()]
    return {e["step"]: e["loss"] for e in log if "loss" in e}


def gap(one: dict, other: dict) -> float:
    """Largest relative difference of two loss curves at the steps that both logged."""
    return max(abs(other[s] - one[s]) / one[s] for s in one.keys() & other.keys())


def ddp(bench: Bench, gpus: int) -> None:
    options = {"epochs": 1, "eval_steps": 250}
    one = bench.run("tuned-1", 1, "ddp", "tuned", **options)
    same = bench.run("tuned-same", gpus, "ddp", "tuned", **options)
    more = bench.run("tuned-more", gpus, "ddp", "tuned", batch_size=64 * gpus, **options)
    for name, run in (("the same 64 rows a step", same), ("64 rows a GPU and step", more)):
        share = one["training_time_s"] / run["training_time_s"] / gpus
        steady = one["seconds"]["steps"] / run["seconds"]["steps"] / gpus
        difference = f"; largest loss difference {gap(one['losses'], run['losses']):.2%}" if run is same else ""
        write("scale_gpu", f"{gpus} GPUs, tuned, {name}", round(share, 3), "of linear", target="at least 0.9",
              command=COMMAND, note=(
                  f"{len_rows(bench)} rows, {run['training_time_s']:.1f} s beside {one['training_time_s']:.1f} s on "
                  f"one GPU, captures, validations and checkpoints included; steps alone {steady:.3f}; "
                  f"{bench.tokens / run['seconds']['steps'] / gpus:,.0f} tokens/s a GPU; peak {run['peak_mb']} MB a "
                  f"GPU{difference}"))


def qlora(bench: Bench, gpus: int) -> None:
    options = {"max_steps": 24, "eval_steps": 24, "lora_dropout": 0.0, "warmup_steps": 0.03}
    one = bench.run("seed-1", 1, "ddp", "seed", **options)
    all_ = bench.run("seed-all", gpus, "ddp", "seed", **options)
    write("scale_gpu", f"{gpus} GPUs, QLoRA (seed), 16 rows a step", round(
        one["median_step_s"] / all_["median_step_s"] / gpus, 3), "of linear", command=COMMAND, note=(
            f"median step {all_['median_step_s'] * 1e3:.0f} ms beside {one['median_step_s'] * 1e3:.0f} ms; peak "
            f"{all_['peak_mb']} MB a GPU; largest loss difference {gap(one['losses'], all_['losses']):.2%}"))


def resume(bench: Bench, gpus: int) -> None:
    options = {"max_steps": 40, "eval_steps": 10}
    whole = bench.run("whole", 1, "ddp", "tuned", **options)
    process, run_dir = bench.start("killed", 1, "ddp", "tuned", **options)
    while process.poll() is None and not list(run_dir.glob("train/checkpoint-*/complete.json")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    resumed = bench.run("killed", gpus, "ddp", "tuned", **options)
    write("scale_gpu", f"killed on 1 GPU, resumed on {gpus}", round(
        100 * gap(whole["losses"], resumed["losses"]), 3), "%", target="the same loss curve", command=COMMAND, note=(
            f"largest loss difference from an undisturbed run on one GPU; resumed at step "
            f"{resumed['resumed_at_step']} of {resumed['steps']}"))


def fsdp(bench: Bench, gpus: int) -> None:
    run = bench.run("fsdp", gpus, "fsdp", "tuned", max_steps=10, eval_steps=10, batch_size=128 * gpus,
                    activation_checkpointing="true", validation_rows=16 * gpus)
    tokens = bench.tokens / len_rows(bench) * 128 * gpus
    write("scale_gpu", f"7B shape, LoRA, FSDP on {gpus} GPUs", round(tokens / run["median_step_s"] / gpus),
          "tokens/s a GPU", command=COMMAND, note=(
              f"peak {run['peak_mb'] / 1024:.1f} GB a GPU; full fine-tuning would need {16 * 6.74:.0f} GB for weights, "
              f"gradients and Adam alone; step of {128 * gpus} rows {run['median_step_s']:.2f} s"))


def len_rows(bench: Bench) -> int:
    return int(bench.data.name.rsplit("-", 1)[1])


PARTS = {"ddp": ddp, "qlora": qlora, "resume": resume, "fsdp": fsdp}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(*options.worker)
    gpus = torch.cuda.device_count()
    if gpus < 2:
        raise SystemExit("This needs a machine with two or more GPUs.")
    parts = options.only or list(PARTS)
    with tempfile.TemporaryDirectory() as folder:
        work_dir = Path(folder)
        shapes = {"7b" if part == "fsdp" else "small" for part in parts}
        for shape in shapes:
            make_base(work_dir / shape, SHAPE_7B if shape == "7b" else None)
        for part in parts:
            base = work_dir / ("7b" if part == "fsdp" else "small")
            PARTS[part](Bench(work_dir, base, options.rows if part == "ddp" else 2700), gpus)


if __name__ == "__main__":
    main()
