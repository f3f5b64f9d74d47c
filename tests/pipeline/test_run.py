"""The whole job on a tiny model: what is published, that a repetition changes nothing, that errors lose nothing."""

import json
import re
import resource
import shutil
from pathlib import Path

import pytest

from tests.pipeline.conftest import ROOT, push


@pytest.fixture(scope="module")
def finished(hub, tiny_recipe, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    done = hub.kira("run", "--recipe", tiny_recipe, "--work", work)
    return work / "tiny", done.stdout, work


def from_hub(hub, code: str, *arguments):
    """What an outsider's program prints."""
    done = hub.python("-c", f"import json, sys\nfrom huggingface_hub import HfApi\n{code}", *arguments)
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_addresses_and_figures_are_printed(finished, hub):
    _, printed, _ = finished
    number = r"[+-]?[\d.]+"
    interval = rf"\[{number}, {number}\] .*n = \d+\n"
    assert re.search(rf"rougeL +base {number} +fine-tuned {number} +difference {number} {interval}", printed)
    assert re.search(r"perplexity +base", printed)
    for address in ("/datasets/kira/tiny-split", "/kira/tiny-lora/tree/v1", "/kira/tiny-lora"):
        assert f"{hub.endpoint}{address}\n" in printed


def test_one_commit_each_and_a_tag(finished, hub):
    counts = from_hub(hub, """
api = HfApi()
refs = api.list_repo_refs("kira/tiny-lora")
commits = len(api.list_repo_commits("kira/tiny-lora"))
dataset_commits = len(api.list_repo_commits("kira/tiny-split", repo_type="dataset"))
tagged = refs.tags[0].target_commit == refs.branches[0].target_commit
print(json.dumps([commits, dataset_commits, [t.name for t in refs.tags], tagged]))""")
    assert counts == [2, 2, ["v1"], True]  # creation and one commit of content


def test_everything_the_contract_names_is_there(finished, hub):
    run_dir, _, _ = finished
    files = from_hub(hub, "print(json.dumps(HfApi().list_repo_files('kira/tiny-lora')))")
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "manifest.json", "recipe.json",
            "metrics.json", "answers.jsonl", "training_log.jsonl", "README.md"} <= set(files)
    assert not [f for f in files if f.endswith((".bin", ".pt", ".pkl"))]
    manifest = json.loads((run_dir / "publication" / "manifest.json").read_text())
    config = json.loads((run_dir / "publication" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == manifest["base"]["repo"] == "kira/tiny"
    assert config["revision"] == manifest["base"]["revision"]
    stored = from_hub(hub, "print(json.dumps({f.path: f.lfs.sha256 for f in HfApi().list_repo_tree('kira/tiny') "
                           "if f.path.endswith('.safetensors')}))")
    assert manifest["base"]["weights"] == stored and stored
    assert re.fullmatch("[0-9a-f]{40}", manifest["dataset"]["revision"])
    assert "question" not in (run_dir / "evaluation" / "answers.jsonl").read_text()


def test_card_bears_the_metrics(finished, hub):
    run_dir, _, _ = finished
    metrics = json.loads((run_dir / "evaluation" / "metrics.json").read_text())
    card = from_hub(hub, "from huggingface_hub import ModelCard; c = ModelCard.load('kira/tiny-lora')\n"
                         "print(json.dumps([c.data.to_dict(), c.text, {r.metric_name: r.metric_value "
                         "for r in c.data.eval_results}]))")
    data, text, results = card
    assert results == metrics["runs"]["tuned"]["metrics"]
    assert data["base_model"] == "kira/tiny" and data["base_model_relation"] == "adapter"
    assert data["datasets"] == ["kira/tiny-split"] and data["library_name"] == "peft"
    main = {"from": "base", "to": "tuned", "slice": "all"}
    for delta in metrics["deltas"]:
        start = f"| {delta['metric']} |"
        if not main.items() <= delta.items():
            start = f"| {delta['from']} -> {delta['to']} | {delta['slice']} {start}"
        (row,) = [line for line in text.splitlines() if line.startswith(start)]
        assert f"| {delta['value']:+.4f} | [{delta['low']:+.4f}, {delta['high']:+.4f}]" in row
        assert ("no significant change" in row) == (delta["low"] <= 0 <= delta["high"] or delta["p_holm"] >= 0.05)
        assert row.endswith(f"| {delta['n']} |")


def test_repetition_changes_nothing(finished, hub, tiny_recipe):
    run_dir, _, work = finished
    before = {p: p.read_bytes() for p in (run_dir / "publication").iterdir()}
    again = hub.kira("run", "--recipe", tiny_recipe, "--work", work).stdout
    assert again.count("unchanged, skipped") == 3
    assert {p: p.read_bytes() for p in (run_dir / "publication").iterdir()} == before
    test_one_commit_each_and_a_tag(finished, hub)
    published = run_dir / "published.json"
    kept = published.read_text()
    published.unlink()  # even when what was published is forgotten
    hub.kira("publish", "--recipe", tiny_recipe, "--work", work)
    assert json.loads(published.read_text())["adapter"]["revision"] == json.loads(kept)["adapter"]["revision"]
    test_one_commit_each_and_a_tag(finished, hub)


def test_killed_between_commit_and_tag_only_tags(finished, hub, tiny_recipe):
    _, _, work = finished
    from_hub(hub, "HfApi().delete_tag('kira/tiny-lora', tag='v1'); print(1)")
    (work / "tiny" / "published.json").unlink()
    hub.kira("publish", "--recipe", tiny_recipe, "--work", work)
    test_one_commit_each_and_a_tag(finished, hub)


MEASURED_WITH_PROBES = """
import json, sys
from pathlib import Path
from train_space import probing, recipe, run
from train_space.compare import compare
from train_space.files import read_json, read_json_lines
probing.FOLDER = Path(sys.argv[3])
chosen, run_dir = recipe.load(sys.argv[1]), Path(sys.argv[2])
run.evaluate(chosen, run_dir)
run.evaluate(chosen, run_dir)
from datasets import Dataset
rows = Dataset.from_parquet(str(run_dir / "data" / "data" / "test-00000-of-00001.parquet"), keep_in_memory=True)
texts = {row["id"]: row["answer"] for row in rows}
answers, probed = (read_json_lines(run_dir / "evaluation" / f"{n}.jsonl") for n in ("answers", "probe_answers"))
found = compare(answers, [texts[a["id"]] for a in answers], chosen.bootstrap_resamples, chosen.seed, probed)
print(json.dumps(found))
run.publish(chosen, run_dir)
"""


def test_everything_is_measured_and_recomputed_without_a_model(finished, hub, tiny_recipe, tmp_path):
    shutil.copytree(finished[0], tmp_path / "tiny")
    probes = Path(__file__).parent / "probes"
    changed = tmp_path / "tiny.yaml"
    changed.write_text(tiny_recipe.read_text().replace("adapter_repo: tiny-lora", "adapter_repo: tiny-measured"))
    done = hub.python("-c", MEASURED_WITH_PROBES, changed, tmp_path / "tiny", probes)
    assert done.stdout.count("unchanged, skipped") == 1
    metrics = json.loads((tmp_path / "tiny" / "evaluation" / "metrics.json").read_text())
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith('{"runs"')))
    assert found["deltas"] == metrics["deltas"] and found["choices"] == metrics["choices"]
    for run, figures in found["runs"].items():
        assert figures.items() <= metrics["runs"][run].items()
    rows = {(d["from"], d["slice"], d["metric"]): d["n"] for d in metrics["deltas"]}
    assert rows["base", "all", "rougeL"] == metrics["runs"]["tuned"]["n"]
    assert rows["base", "all", "choice_accuracy"] == metrics["choices"]["n"] == 6
    assert rows["base_two_shot", "all", "perplexity"] == metrics["runs"]["base_two_shot"]["n"] == 5
    assert rows["base", "all", "agreement"] == 4
    assert {s for _, s, _ in rows} == {"all", "probe=general", "probe=invented", "probe=outside"}
    assert rows["base", "probe=general", "perplexity"] == rows["base", "probe=outside", "abstention_rate"] == 2
    assert "general_probe_sha256" in metrics["inputs"] and "probe_answers_sha256" in metrics["inputs"]
    files = from_hub(hub, "print(json.dumps(HfApi().list_repo_files('kira/tiny-measured')))")
    assert "probe_answers.jsonl" in files
    card = (tmp_path / "tiny" / "publication" / "README.md").read_text()
    for delta in metrics["deltas"]:
        slices = "" if (delta["from"], delta["slice"]) == ("base", "all") else f"tuned | {delta['slice']} "
        assert f"{slices}| {delta['metric']} | " in card
    assert "\n\n\n" not in card.split("## What it changed")[1].split("## Load it")[0]


@pytest.mark.slow
def test_costly_measures_can_be_left_out(finished, hub, tiny_recipe, tmp_path):
    shutil.copytree(finished[0], tmp_path / "tiny")
    off = [f"--set={name}_rows=0" for name in ("choice", "two_shot", "agreement", "probe")]
    hub.kira("evaluate", "--recipe", tiny_recipe, "--work", tmp_path, *off)
    metrics = json.loads((tmp_path / "tiny" / "evaluation" / "metrics.json").read_text())
    assert set(metrics["runs"]) == {"base", "tuned"} and "choices" not in metrics
    assert not {"choice_accuracy", "ece", "agreement"} & set(metrics["runs"]["tuned"]["metrics"])
    assert not (tmp_path / "tiny" / "evaluation" / "probe_answers.jsonl").exists()


def test_metrics_of_another_adapter_are_refused(finished, hub, tiny_recipe, tmp_path):
    shutil.copytree(finished[0], tmp_path / "tiny")
    weights = tmp_path / "tiny" / "train" / "adapter" / "adapter_model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    (tmp_path / "tiny" / "published.json").unlink()
    done = hub.kira("publish", "--recipe", tiny_recipe, "--work", tmp_path, check=False)
    assert done.returncode == 1 and "another adapter" in done.stderr


def test_evaluate_any_adapter_on_any_file(finished, hub, tmp_path):
    data, out = tmp_path / "mine.jsonl", tmp_path / "metrics.json"
    data.write_text('{"question": "What is a fever?", "answer": "A raised body temperature."}\n' * 3, "utf-8")
    hub.kira("evaluate", "--adapter", "kira/tiny-lora", "--data", data, "--out", out, "--set", "max_new_tokens=4",
             "--set", "bootstrap_resamples=100")
    metrics = json.loads(out.read_text())
    assert metrics["runs"]["tuned"]["n"] == 3 and len(out.with_name("answers.jsonl").read_text().splitlines()) == 3
    data.write_text('{"question": "a", "answer": "b"}\n{"question": "a"\n', "utf-8")
    done = hub.kira("evaluate", "--adapter", "kira/tiny-lora", "--data", data, "--out", out, check=False)
    assert done.returncode == 1 and "line 2" in done.stderr


@pytest.mark.parametrize(("token", "said"), [
    ("", "set HF_TOKEN"), ("local-read", "may not write"), ("nonsense", "no valid token"),
])
def test_tokens(finished, hub, tiny_recipe, token, said):
    _, _, work = finished
    done = hub.kira("publish", "--recipe", tiny_recipe, "--work", work, "--set",
                    "adapter_repo=kira/other", token=token, check=False)
    if token == "":
        done = hub.kira("prepare", "--recipe", tiny_recipe, "--work", work, token=token, check=False)
    assert done.returncode == 1, done.stdout
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert "local-" not in done.stderr and "nonsense" not in done.stderr


def test_hub_down(hub, tiny_recipe, tmp_path):
    done = hub.kira("run", "--recipe", tiny_recipe, "--work", tmp_path, check=False, HF_ENDPOINT="http://127.0.0.1:9",
                    HF_HOME=str(tmp_path / "home"))
    assert done.returncode == 1
    assert "does not answer" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_base_without_chat_template(hub, tiny_recipe, tmp_path):
    hub.python("tests/tiny_model.py", tmp_path / "bare", "--without-chat-template")
    push(hub, tmp_path / "bare", "kira/bare")
    done = hub.kira("run", "--recipe", tiny_recipe, "--work", tmp_path / "work", "--set", "base_repo=kira/bare",
                    check=False)
    assert done.returncode == 1 and "no chat template" in done.stderr and done.stderr.count("\n") == 1


def test_full_disk_leaves_the_old_files(finished, hub, tiny_recipe, tmp_path):
    """A file size limit stands in for a full disk: writing fails the same way, in the same places."""
    import subprocess
    import sys

    shutil.copytree(finished[0], tmp_path / "tiny")
    before = (tmp_path / "tiny" / "evaluation" / "metrics.json").read_bytes()

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run(
        [sys.executable, "-m", "train_space", "evaluate", "--recipe", str(tiny_recipe), "--work", str(tmp_path),
         "--set", "max_new_tokens=4"], env=hub.environment(), cwd=tmp_path, capture_output=True, text=True,
        preexec_fn=limit)
    assert done.returncode == 1 and "disk is full" in done.stderr, done.stderr
    assert (tmp_path / "tiny" / "evaluation" / "metrics.json").read_bytes() == before
    assert not list((tmp_path / "tiny" / "evaluation").glob(".*.tmp"))


def launched(hub, *arguments):
    """A finished `accelerate launch -m train_space ARGUMENTS` of two processes on this CPU."""
    return hub.python("-m", "accelerate.commands.launch", "--config_file", ROOT / "recipes" / "accelerate" / "ddp.yaml",
                      "-m", "train_space", *arguments, OMP_NUM_THREADS="1", ACCELERATE_USE_CPU="true")


@pytest.mark.slow
def test_two_processes_measure_what_one_does(finished, hub, tiny_recipe, tmp_path):
    run_dir, _, _ = finished
    shutil.copytree(run_dir, tmp_path / "tiny")
    shutil.rmtree(tmp_path / "tiny" / "evaluation")
    done = launched(hub, "evaluate", "--recipe", tiny_recipe, "--work", tmp_path)
    assert done.stdout.count("evaluate   ...") == 1
    for name in ("answers.jsonl", "probe_answers.jsonl"):
        one, two = ([json.loads(line) for line in (folder / "evaluation" / name).open()]
                    for folder in (run_dir, tmp_path / "tiny"))
        assert numbers_apart(one) == numbers_apart(two)
        assert [n for _, n in numbers_of(two)] == pytest.approx([n for _, n in numbers_of(one)], rel=1e-5)


@pytest.mark.slow
def test_two_processes_do_the_whole_job(hub, tiny_recipe, tmp_path):
    options = "--set", "adapter_repo=joint-lora", "--set", "dataset_repo=joint-split"
    done = launched(hub, "run", "--recipe", tiny_recipe, "--work", tmp_path, *options)
    assert done.stdout.count("/kira/joint-lora/tree/v1\n") == 1 and "Traceback" not in done.stderr
    learnt = json.loads((tmp_path / "tiny" / "recipe.json").read_text())["stages"]
    assert set(learnt) == {"prepare", "train", "evaluate"} and learnt["train"]["processes"] == 2
    again = launched(hub, "run", "--recipe", tiny_recipe, "--work", tmp_path, *options)
    assert again.stdout.count("unchanged, skipped") == 3


def numbers_of(value, path=()):
    """(path, number) of every number in a JSON value."""
    if isinstance(value, float):
        yield path, value
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from numbers_of(inner, (*path, key))


def numbers_apart(value):
    """The JSON value with None for each number that has a fraction."""
    if isinstance(value, dict):
        return {key: numbers_apart(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [numbers_apart(inner) for inner in value]
    return None if isinstance(value, float) else value
