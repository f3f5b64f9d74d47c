"""What a run logs also reaches Trackio, number for number, and nothing else goes anywhere."""

import json
import shutil

import pytest
import yaml

from kira.errors import UserError
from tests.pipeline.conftest import outcome
from train_space import recipe

# Trains, then prints every host that the process looked up or connected to.
WATCHED = """
import sys
hosts = set()
def watch(event, arguments):
    if event == "socket.getaddrinfo":
        hosts.add(str(arguments[0]))
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        hosts.add(arguments[1][0])
sys.addaudithook(watch)
from train_space.__main__ import main
status = main(sys.argv[1:])
print("hosts", *sorted(hosts))
sys.exit(status)
"""
READ = """
import json, sys
from trackio import Api
from trackio.sqlite_storage import SQLiteStorage
runs = Api().runs(sys.argv[1])
print(json.dumps({run.name: [SQLiteStorage.get_logs(run.project, run.name, run_id=run.id), run.config] for run in runs},
                 default=str))
"""


def stored(hub, folder, project) -> dict:
    """Run -> [logs, config], as Trackio's own API reads them."""
    return json.loads(hub.python("-c", READ, project, TRACKIO_DIR=str(folder)).stdout.splitlines()[-1])


def assert_same(logs: list[dict], log: str) -> None:
    """Every line of log.jsonl is among what Trackio has, in order, under the names that transformers gives."""
    lines = [json.loads(line) for line in log.splitlines()]
    kept = [entry for entry in logs if {"train/loss", "eval/loss", "train/probe_n"} & set(entry)]
    assert len(kept) == len(lines) > 10
    for line, entry in zip(lines, kept, strict=True):
        assert entry["train/global_step"] == line.pop("step")
        for name, value in line.items():
            there = f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"
            assert entry[there] == pytest.approx(value, rel=1e-12), name


@pytest.mark.slow
def test_a_run_is_logged_on_this_machine_and_learns_the_same(hub, tiny_recipe, prepared, uninterrupted, tmp_path):
    work, folder = tmp_path / "work", tmp_path / "trackio"
    shutil.copytree(prepared, work)
    done = hub.python("-c", WATCHED, "train", "--recipe", tiny_recipe, "--work", work, "--set",
                      "trackio_project=tiny-project", TRACKIO_DIR=str(folder))
    assert done.stdout.splitlines()[-1] == "hosts 127.0.0.1"  # the local Hub
    assert outcome(work) == uninterrupted
    found = stored(hub, folder, "tiny-project")
    assert list(found) == ["tiny"]
    logs, config = found["tiny"]
    assert_same(logs, uninterrupted[1])
    assert config["learning_rate"] == recipe.load(str(tiny_recipe)).learning_rate
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert any(b"global_step" in data for data in files)
    assert not any(b"Finding number" in data or b"finding" in data for data in files)  # of the rows' text


@pytest.mark.slow
def test_runs_of_a_sweep_share_a_project(hub, tiny_recipe, tmp_path):
    path = tmp_path / "rates.yaml"
    path.write_text(yaml.safe_dump({
        "recipe": str(tiny_recipe), "set": {"trackio_project": "rates", "early_stopping_patience": 9}, "seeds": [1],
        "against": "slow", "runs": {"slow": {"learning_rate": 1e-4}, "fast": {}}}, sort_keys=False), "utf-8")
    hub.kira("sweep", path, "--work", tmp_path / "work", "--results", tmp_path / "results",
             TRACKIO_DIR=str(tmp_path / "trackio"))
    found = stored(hub, tmp_path / "trackio", "rates")
    assert set(found) == {"slow-1", "fast-1"}
    for name, (logs, config) in found.items():
        assert_same(logs, (tmp_path / "work" / "rates" / name / "train" / "log.jsonl").read_text())
        assert config["learning_rate"] == {"slow-1": 1e-4, "fast-1": 0.01}[name]


def test_a_space_needs_a_project():
    with pytest.raises(UserError, match="trackio_space_id needs trackio_project"):
        recipe.load("tuned", {"trackio_space_id": "me/board"})
    assert recipe.load("tuned", {"trackio_space_id": "me/board", "trackio_project": "p"}).trackio_project == "p"
