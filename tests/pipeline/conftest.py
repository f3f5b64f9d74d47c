"""A real local Hub with a tiny base on it, and the real command line as a user calls it."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
WORDS = [
    "heart", "lung", "liver", "kidney", "skin", "bone", "muscle", "nerve", "brain", "blood", "eye", "ear", "nose",
    "throat", "stomach", "bowel", "bladder", "joint", "tendon", "vein", "artery", "gland", "spleen", "thyroid",
]


class Hub:
    """The server's address and what a client process needs in its environment."""

    def __init__(self, root: Path, process, endpoint: str):
        self.root, self.process, self.endpoint = root, process, endpoint

    def environment(self, token="local-write", **more) -> dict:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "KIRA_", "RANK", "WORLD_SIZE"))}
        return kept | {"HF_ENDPOINT": self.endpoint, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1",
                       "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": str(self.root.parent / "hf-home"),
                       "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""} | more

    def python(self, *arguments, check=True, token="local-write", cwd=ROOT, timeout_s=280, **more):
        """A finished `python ARGUMENTS` with this Hub in its environment."""
        done = subprocess.run([sys.executable, *map(str, arguments)], env=self.environment(token, **more), cwd=cwd,
                              capture_output=True, text=True, timeout=timeout_s)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def kira(self, *arguments, **options):
        """A finished `python -m train_space ARGUMENTS`."""
        return self.python("-m", "train_space", *arguments, **options)


@contextmanager
def local_hub(root: Path):
    """A running Hub with its files in `root`."""
    process = subprocess.Popen([sys.executable, "-m", "localhub", "--root", str(root), "--port", "0"], cwd=ROOT,
                               stdout=subprocess.PIPE, text=True)
    endpoint = re.search(r"http://[\d.]+:\d+", process.stdout.readline())[0]
    try:
        yield Hub(root, process, endpoint)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    with local_hub(tmp_path_factory.mktemp("hub") / "root") as running:
        yield running


@pytest.fixture(scope="session")
def tiny_base(hub, tmp_path_factory):
    """Hub id of the tiny chat model."""
    folder = tmp_path_factory.mktemp("tiny")
    hub.python("tests/tiny_model.py", folder)
    push(hub, folder, "kira/tiny")
    return "kira/tiny"


def push(hub, folder, repo, **options):
    return hub.python("-c", "import sys; from pathlib import Path; from train_space.publish import push_folder; "
                      "print(push_folder(Path(sys.argv[1]), sys.argv[2], 'model', 'made for a test'))",
                      folder, repo, **options).stdout.strip()


def run_on_package_rows(hub, recipe: Path, work: Path, name: str) -> Path:
    """Folder of a published run on rows that any machine can make, 12 of them measured."""
    options = [f"--set={field}" for field in (
        "source=hpo", "sample_rows=150", "max_answer_words=20", f"adapter_repo={name}", f"dataset_repo={name}-split",
        "test_rows=12")]
    hub.kira("run", "--recipe", recipe, "--work", work, *options)
    return work / "tiny"


def rows(count: int) -> list[dict]:
    """Question-answer rows with a topic each and no two answers alike."""
    made = []
    for i in range(count):
        a, b, c = WORDS[i % 24], WORDS[(i * 7 + 5) % 24], WORDS[(i * 11 + i // 24) % 24]
        made.append({"question": f"What is {a} finding {i}?", "topic": f"{a}-{i}",
                     "answer": f"Finding number {i} of the {a} lies between the {b} and the {c} near place {i * i}."})
    return made


@pytest.fixture(scope="session")
def tiny_recipe(tiny_base, tmp_path_factory):
    """Path of a recipe that trains the tiny base in seconds."""
    folder = tmp_path_factory.mktemp("recipe")
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows(120)), "utf-8")
    path = folder / "tiny.yaml"
    path.write_text(f"""
source: jsonl
source_location: {source}
source_licence: cc0-1.0
sample_rows: 120
base_repo: {tiny_base}
base_licence: apache-2.0
dtype: float32
evaluation_dtype: float32
lora_r: 4
lora_alpha: 8
lora_dropout: 0.1
epochs: 1
batch_size: 4
gradient_accumulation_steps: 2
learning_rate: 0.01
max_length: 256
eval_steps: 4
early_stopping_patience: 5
generation_probe_rows: 5
max_new_tokens: 8
evaluation_batch_size: 8
bootstrap_resamples: 500
choice_rows: 6
two_shot_rows: 5
agreement_rows: 4
probe_rows: 2
dataset_repo: tiny-split
adapter_repo: tiny-lora
publish_below_safety_bar: true
""", "utf-8")
    return path


@pytest.fixture(scope="session")
def prepared(hub, tiny_recipe, tmp_path_factory):
    """A work folder with data/ only, to be copied."""
    work = tmp_path_factory.mktemp("prepared")
    hub.kira("prepare", "--recipe", tiny_recipe, "--work", work)
    return work


@pytest.fixture(scope="session")
def uninterrupted(hub, tiny_recipe, prepared, tmp_path_factory):
    """(adapter bytes, loss log) of a run that nothing disturbed."""
    work = tmp_path_factory.mktemp("whole") / "work"
    shutil.copytree(prepared, work)
    hub.kira("train", "--recipe", tiny_recipe, "--work", work)
    return outcome(work)


def outcome(work):
    train = work / "tiny" / "train"
    return (train / "adapter" / "adapter_model.safetensors").read_bytes(), (train / "log.jsonl").read_text()


def losses(log: str) -> list[float]:
    return [entry["loss"] for entry in map(json.loads, log.splitlines()) if "loss" in entry]
