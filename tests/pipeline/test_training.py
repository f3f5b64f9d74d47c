"""Training: the ids that are trained are those that are served; resuming changes nothing; two processes agree."""

import json
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors import safe_open

from kira.errors import UserError
from tests.pipeline.conftest import ROOT, losses, outcome
from train_space import estimate, recipe, train


def test_repeated_run_is_the_same_to_the_byte(hub, tiny_recipe, prepared, uninterrupted, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(prepared, work)
    hub.kira("train", "--recipe", tiny_recipe, "--work", work)
    assert outcome(work) == uninterrupted


def test_loss_falls(uninterrupted):
    curve = losses(uninterrupted[1])
    assert len(curve) >= 10
    assert sum(curve[-3:]) < 0.97 * sum(curve[:3])  # the random output layer is frozen: the floor is near


@pytest.mark.slow
def test_killed_runs_end_as_if_nothing_had_happened(hub, tiny_recipe, prepared, uninterrupted, tmp_path):
    """Three kills at random moments after the first checkpoint, the newest checkpoint damaged after the second."""
    work = tmp_path / "work"
    shutil.copytree(prepared, work)
    train = work / "tiny" / "train"
    rng = random.Random(5)
    command = [sys.executable, "-m", "train_space", "train", "--recipe", str(tiny_recipe), "--work", str(work)]
    for attempt in range(3):
        process = subprocess.Popen(command, env=hub.environment(), cwd=ROOT, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        wanted = attempt + 1
        while process.poll() is None and len(list(train.glob("checkpoint-*/complete.json"))) < min(wanted, 2):
            time.sleep(0.01)
        time.sleep(rng.random() / 5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if attempt == 1:
            newest = max(train.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
            (newest / "optimizer.pt").unlink(missing_ok=True)
    hub.kira("train", "--recipe", tiny_recipe, "--work", work)
    assert outcome(work) == uninterrupted


@pytest.mark.slow
def test_other_inputs_start_anew(hub, tiny_recipe, prepared, uninterrupted, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(prepared, work)
    for rate in ("0.001", "0.01"):
        hub.kira("train", "--recipe", tiny_recipe, "--work", work, "--set", f"learning_rate={rate}")
    assert outcome(work) == uninterrupted


@pytest.mark.slow
def test_two_processes_train_one_adapter(hub, tiny_recipe, prepared, uninterrupted, tmp_path):
    """One of a step's two batches on each rank: both report one loss, that of one process with both batches."""
    work = tmp_path / "work"
    shutil.copytree(prepared, work)
    script = tmp_path / "rank.py"
    script.write_text(
        "import hashlib, json, os, sys\nfrom pathlib import Path\nfrom train_space import recipe, run, train\n"
        "r = recipe.load(sys.argv[1], {'lora_dropout': '0.0'}); d = Path(sys.argv[2]) / 'tiny'\n"
        "base = run.resolve_base(r, d)\nlearnt = train.train(r, d, base, train.inputs(r, d, base))\n"
        "f = d / 'train' / 'adapter' / 'adapter_model.safetensors'\n"
        "learnt['adapter_sha256'] = hashlib.sha256(f.read_bytes()).hexdigest()\n"
        "Path(sys.argv[2], f\"rank{os.environ['RANK']}.json\").write_text(json.dumps(learnt))\n", "utf-8")
    hub.python("-m", "accelerate.commands.launch", "--config_file",
               ROOT / "recipes" / "accelerate" / "ddp.yaml", script, tiny_recipe, work, OMP_NUM_THREADS="1",
               ACCELERATE_USE_CPU="true")
    ranks = [json.loads((work / f"rank{i}.json").read_text()) for i in range(2)]
    assert [r["processes"] for r in ranks] == [2, 2]
    assert ranks[0]["train_loss"] == ranks[1]["train_loss"]
    assert ranks[0]["adapter_sha256"] == ranks[1]["adapter_sha256"]
    assert ranks[0]["steps"] == len(losses(uninterrupted[1]))

    alone = tmp_path / "alone"
    shutil.copytree(prepared, alone)
    hub.kira("train", "--recipe", tiny_recipe, "--work", alone, "--set", "lora_dropout=0.0")
    one = losses(outcome(alone)[1])
    log = (work / "tiny" / "train" / "log.jsonl").read_text()
    assert losses(log) == pytest.approx(one, rel=1e-4)
    assert [entry["step"] for entry in map(json.loads, log.splitlines()) if "probe_n" in entry] == [0, 4, 8, 12]


def test_rows_that_processes_cannot_share_evenly_are_refused():
    made = recipe.load("seed", {"batch_size": "6", "gradient_accumulation_steps": "3"})
    assert [train.rows_per_batch(made, n) for n in (1, 2, 3, 6)] == [(6, 3), (3, 3), (6, 1), (1, 3)]
    with pytest.raises(UserError, match="4 processes"):
        train.rows_per_batch(made, 4)


def test_dry_run_estimates_and_keeps_nothing(hub, tiny_recipe, prepared, uninterrupted, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(prepared, work)
    before = sorted(work.rglob("*"))
    done = hub.kira("train", "--recipe", tiny_recipe, "--work", work, "--dry-run", "--set", "usd_per_hour=3600")
    assert re.search(r"^estimate .* parameters .* in 12 steps: about \d+ s, peak \d\.\d GB resident, \$\d", done.stdout,
                     re.M), done.stdout
    assert sorted(work.rglob("*")) == before
    hub.kira("train", "--recipe", tiny_recipe, "--work", work)
    assert outcome(work) == uninterrupted
    learnt = json.loads((work / "tiny" / "recipe.json").read_text())["stages"]["train"]
    made = learnt["estimate"]
    assert made["steps"] == learnt["steps"] and made["trainable_parameters"] == learnt["trainable_parameters"]
    assert learnt["train_tokens"] <= made["tokens"] <= 1.5 * learnt["train_tokens"]
    assert made["training_time_s"] > 0 and made["cost_usd"] is None is learnt["cost_usd"]
    spent = learnt["seconds"]
    assert set(spent) == {"steps", "validations", "checkpoints"}
    assert sum(spent.values()) == pytest.approx(learnt["training_time_s"], abs=1)


def test_padded_tokens_of_a_planned_epoch():
    lengths = [10, 20, 30, 40]
    assert estimate.padded_tokens(lengths, 2, 0, grouped=True) == [40, 80]
    assert estimate.padded_tokens(lengths, 4, 64, grouped=False) == [128]
    assert sum(estimate.padded_tokens(lengths, 1, 0, grouped=False)) == 100


@pytest.mark.slow
def test_qlora_of_the_seed_recipe_learns_on_a_cpu(hub, tiny_recipe, prepared, uninterrupted, tmp_path):
    """NF4 with double quantisation, activation checkpointing, paged 8-bit Adam: the ancestor's path, tiny."""
    work = tmp_path / "work"
    shutil.copytree(prepared, work)
    changed = ("quantization=nf4", "optimizer=paged_adamw_8bit", "activation_checkpointing=true")
    hub.kira("train", "--recipe", tiny_recipe, "--work", work, *(a for c in changed for a in ("--set", c)))
    curve, plain = losses(outcome(work)[1]), losses(uninterrupted[1])
    assert curve != plain and len(curve) == len(plain)  # the rounding of 4 bits shows
    assert sum(curve[-3:]) < 0.97 * sum(curve[:3])
    hub.kira("evaluate", "--recipe", tiny_recipe, "--work", work)
    metrics = json.loads((work / "tiny" / "evaluation" / "metrics.json").read_text())
    perplexity = {run: metrics["runs"][run]["metrics"]["perplexity"] for run in ("base", "tuned")}
    assert perplexity["tuned"] < perplexity["base"]


@pytest.mark.slow
def test_bfloat16_is_stored_in_bfloat16_and_measured_in_float32(hub, tiny_recipe, prepared, tmp_path):
    """Half the bytes of what trains in float32, and an adapter that a CPU measures in its own precision."""
    work = tmp_path / "work"
    shutil.copytree(prepared, work)
    hub.kira("train", "--recipe", tiny_recipe, "--work", work, "--set", "dtype=bfloat16")
    with safe_open(work / "tiny" / "train" / "adapter" / "adapter_model.safetensors", framework="pt") as saved:
        assert {saved.get_tensor(name).dtype for name in saved.keys()} == {torch.bfloat16}  # noqa: SIM118
    hub.kira("evaluate", "--recipe", tiny_recipe, "--work", work)
    metrics = json.loads((work / "tiny" / "evaluation" / "metrics.json").read_text())
    assert metrics["precision"] == "float32"
    assert metrics["runs"]["tuned"]["metrics"]["perplexity"] < metrics["runs"]["base"]["metrics"]["perplexity"]


@pytest.mark.slow
def test_full_disk_at_a_checkpoint_is_one_sentence_and_the_run_goes_on_later(
        hub, tiny_recipe, prepared, uninterrupted, tmp_path):
    """A file size limit, which the adapter's weights exceed, stands in for a full disk."""
    work = tmp_path / "work"
    shutil.copytree(prepared, work)
    command = [sys.executable, "-m", "train_space", "train", "--recipe", str(tiny_recipe), "--work", str(work)]
    done = subprocess.run(command, env=hub.environment(), cwd=ROOT, capture_output=True, text=True,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)))
    assert done.returncode == 1
    assert re.search("^train_space: The disk is full; free some space", done.stderr, re.M), done.stderr
    assert "Traceback" not in done.stderr
    hub.kira("train", "--recipe", tiny_recipe, "--work", work)
    assert outcome(work) == uninterrupted


def test_trained_ids_are_served_ids(hub, tiny_recipe, prepared):
    code = """
import sys, tempfile
from pathlib import Path
import pyarrow.parquet as pq
import torch
from transformers import AutoTokenizer
from trl import SFTTrainer
from kira.prompt import build_messages, encode_answer, encode_prompt
from train_space import recipe, run, train
r, run_dir = recipe.load(sys.argv[1]), Path(sys.argv[2]) / "tiny"
base = run.resolve_base(r, run_dir)
arguments = train._arguments(r, Path(tempfile.mkdtemp()), base, torch.float32, False)
trainer = SFTTrainer(model=r.base_repo, args=arguments, train_dataset=train._rows(run_dir, "train", 0, 0),
                     processing_class=AutoTokenizer.from_pretrained(r.base_repo, revision=base))
tokenizer = trainer.processing_class
rows = pq.read_table(run_dir / "data" / "data" / "train-00000-of-00001.parquet").to_pylist()
for row, trained in zip(rows, trainer.train_dataset, strict=True):
    messages = build_messages(row["question"])
    prompt, answer = encode_prompt(tokenizer, messages), encode_answer(tokenizer, messages, row["answer"])
    assert trained["input_ids"] == prompt + answer
    assert trained["labels"] == [-100] * len(prompt) + answer
print(len(rows))
"""
    assert int(hub.python("-c", code, tiny_recipe, prepared).stdout.split()[-1]) >= 90
