"""What the Space makes of sound, damaged and unreachable publications."""

import json

import pytest

from tests.space.conftest import HERE, environment, free_port, python

REASONS = {
    "bit-flip": "adapter_model.safetensors of kira/tiny-lora does not match its manifest",
    "truncated": "cannot be read; the file is damaged",
    "header": "cannot be read; the file is damaged",
    "nan": "not finite numbers",
    "other-tensors": "other tensors than its manifest lists",
    "wrong-base": "names another base in its configuration",
    "dora": "not a plain LoRA",
    "no-manifest": "has no manifest.json",
    "missing-file": "lacks the file tokenizer.json",
    "base-gone": "kira/tiny at 000000000000 could not be fetched: the repository has no such revision",
}


def load(endpoint, home, *revisions, **more):
    done = python(HERE / "load_report.py", *revisions, env=environment(endpoint, home, **more))
    assert done.returncode == 0, done.stderr
    return {line["revision"]: line for line in map(json.loads, done.stdout.splitlines()) if "revision" in line}


@pytest.fixture(scope="module")
def reports(hub, published):
    """Every state of the adapter, loaded by its commit sha, and the head."""
    revisions = {name: published.shas[name] for name in (*REASONS, "no-results", "main")}
    found = load(hub, published.home, *revisions.values(), "head", "v9")
    return {name: found[sha] for name, sha in revisions.items()} | {"head": found["head"], "v9": found["v9"]}


@pytest.mark.parametrize("damage", REASONS)
def test_a_damaged_adapter_leaves_the_base_alone_and_says_why(reports, published, damage):
    report = reports[damage]
    assert REASONS[damage] in report["notice"]
    assert report["notice"].startswith("The base model answers alone")
    assert report["speaker"] == f"kira/tiny@{published.shas['base']}" and not report["adapter"]
    assert not report["results"]


@pytest.mark.parametrize("name", ["main", "head"])
def test_a_sound_adapter_is_used_at_its_commit(reports, published, name):
    report = reports[name]
    assert report["speaker"] == f"kira/tiny-lora@{published.shas['main']}" and report["adapter"]
    assert report["notice"] == "" and report["results"] and report["answers"] == 24
    assert set(report["files"]) <= {".safetensors", ".json", ".jinja", ".jsonl", ".svg"}


def test_an_adapter_without_results_answers_all_the_same(reports):
    assert reports["no-results"]["adapter"] and not reports["no-results"]["results"]


def test_a_revision_that_is_not_there_is_named(reports):
    assert "kira/tiny-lora at v9 could not be fetched: the repository has no such revision" in reports["v9"]["notice"]


def test_with_the_hub_down_a_warm_cache_serves_sha_and_head(reports, published):
    nobody = f"http://127.0.0.1:{free_port()}"
    for report in load(nobody, published.home, published.shas["main"], "head").values():
        assert report["adapter"] and report["notice"] == "" and report["answers"] == 24


def test_with_the_hub_down_and_nothing_cached_the_reason_is_told(tmp_path):
    nobody = f"http://127.0.0.1:{free_port()}"
    report = load(nobody, tmp_path, "head")["head"]
    assert report["speaker"] is None
    assert report["notice"].startswith("No model could be loaded") and "does not answer" in report["notice"]


def test_a_hub_that_accepts_and_never_answers_is_given_up(tmp_path):
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        report = load(endpoint, tmp_path, "head", KIRA_HUB_TIMEOUT_S="0.5")["head"]
    assert "does not answer" in report["notice"]
