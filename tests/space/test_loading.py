"""What the Space makes of sound, damaged and unreachable publications."""

import json
import shutil
import threading

import pytest

from kira.artifacts import Source, verify
from kira.errors import UserError
from kira.service import Service
from tests.space.conftest import HERE, SECOND, environment, free_port, python

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
    "other-layers": "does not fit the base model: it has tensors for other layers",
}
BESIDE_REASONS = {**REASONS, "base-gone": "two adapters side by side need one base",
                  "other-template": "unlike tokenizers or chat templates", "broken-metrics": "(JSONDecodeError)"}


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


@pytest.mark.parametrize("what", ["base", "dataset"])
@pytest.mark.parametrize("revision", ["main", "v1", "1234567", None])
def test_a_manifest_that_names_no_full_commit_is_refused(published, tmp_path, what, revision):
    shutil.copytree(published.adapter, tmp_path / "adapter")
    path = tmp_path / "adapter" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest[what]["revision"] = revision
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="manifest.json of kira/tiny-lora cannot be read"):
        verify(Source("kira/tiny-lora", published.shas["main"], path.parent))


@pytest.mark.parametrize("name", ["main", "head"])
def test_a_sound_adapter_is_used_at_its_commit(reports, published, name):
    report = reports[name]
    assert report["speaker"] == f"kira/tiny-lora@{published.shas['main']}" and report["adapter"]
    assert report["notice"] == "" and report["results"] and report["answers"] == 24
    assert set(report["files"]) <= {".safetensors", ".json", ".jinja", ".jsonl", ".svg", ".md"}


def test_an_adapter_without_results_answers_all_the_same(reports):
    assert reports["no-results"]["adapter"] and not reports["no-results"]["results"]


def test_a_revision_that_is_not_there_is_named(reports):
    assert "kira/tiny-lora at v9 could not be fetched: the repository has no such revision" in reports["v9"]["notice"]


@pytest.fixture(scope="module")
def beside_reports(hub, published):
    """Every damaged state of the first adapter, but as the second one beside the sound first."""
    revisions = {name: published.shas[name] for name in (*BESIDE_REASONS, "no-results")}
    found = load(hub, published.home, *revisions.values(), "v9", KIRA_BESIDE_REPOS="kira/tiny-lora")
    return {name: found[sha] for name, sha in revisions.items()} | {"v9": found["v9"]}


@pytest.mark.parametrize("damage", BESIDE_REASONS)
def test_a_damaged_second_adapter_leaves_the_first_and_says_why(beside_reports, published, damage):
    report = beside_reports[damage]
    assert report["notice"].startswith(f"Not shown beside the first adapter: kira/tiny-lora@{published.shas[damage]}: ")
    assert BESIDE_REASONS[damage] in report["notice"] and "\n" not in report["notice"]
    assert report["published"] == [f"kira/tiny-lora@{published.shas['main']}"] and report["adapters"] == 1
    assert report["answers"] == 24


def test_a_second_adapter_that_is_not_there_is_named(beside_reports):
    assert "kira/tiny-lora at v9 could not be fetched" in beside_reports["v9"]["notice"]
    assert beside_reports["v9"]["adapters"] == 1


def test_a_sound_second_adapter_is_served_with_its_own_results(hub, published, beside_reports):
    report = load(hub, published.home, "head", KIRA_BESIDE_REPOS=SECOND)["head"]
    assert report["published"] == [f"kira/tiny-lora@{published.shas['main']}",
                                   f"{SECOND}@{published.shas['beside']}"]
    assert (report["notice"], report["adapters"], report["answers"], report["beside"]) == ("", 2, 24, 12)
    assert (beside_reports["no-results"]["adapters"], beside_reports["no-results"]["beside"]) == (2, 0)


@pytest.mark.slow
def test_with_the_first_adapter_damaged_the_base_answers_alone(hub, published):
    more = {"KIRA_BESIDE_REPOS": SECOND, "KIRA_ADAPTER_REVISION": published.shas["other-layers"]}
    report = load(hub, published.home, "head", **more)["head"]
    assert report["notice"].startswith("The base model answers alone") and report["adapters"] == 0


def test_with_the_hub_down_a_warm_cache_serves_sha_and_head(reports, published):
    nobody = f"http://127.0.0.1:{free_port()}"
    for report in load(nobody, published.home, published.shas["main"], "head").values():
        assert report["adapter"] and report["notice"] == "" and report["answers"] == 24


def test_with_the_hub_down_and_nothing_cached_the_reason_is_told(tmp_path):
    nobody = f"http://127.0.0.1:{free_port()}"
    report = load(nobody, tmp_path, "head")["head"]
    assert report["speaker"] is None
    assert report["notice"].startswith("No model could be loaded") and "does not answer" in report["notice"]


@pytest.mark.slow
def test_one_thread_warms_up_and_loads(monkeypatch):
    """Side by side, two threads' imports of torch's parts once waited for each other, and nobody was ever answered."""
    ran, loading = [], Service()
    monkeypatch.setattr(loading, "_load", lambda: ran.append(("load", threading.get_ident())))
    loading.start(lambda: ran.append(("warm up", threading.get_ident())))
    assert loading.ready.wait(10)
    (first, one), (second, other) = ran
    assert (first, second) == ("warm up", "load") and one == other != threading.get_ident()


def test_a_hub_that_accepts_and_never_answers_is_given_up(tmp_path):
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        report = load(endpoint, tmp_path, "head", KIRA_HUB_TIMEOUT_S="0.5")["head"]
    assert "does not answer" in report["notice"]
