"""What the cards say: of a run without probes on two sources, of what got worse, of hostile answers, of releases."""

import json
import re
import shutil

import pytest
from playwright.sync_api import sync_playwright

from tests.pipeline.conftest import push, rows
from train_space import cards, failures
from train_space.files import read_json, read_json_lines, write_json, write_json_lines
from train_space.licences import is_share_alike

HOSTILE = ("<script>document.title='run'</script> | ---\n---\n```\n# Not a heading\n````\n<!-- {{ 1 }} "
           "<img src=x onerror=\"document.title='run'\"> [x](javascript:alert(1)) | a | b |\r\n\u2028fine-tuned  5 mg")


@pytest.fixture(scope="module")
def finished(hub, tiny_recipe, tmp_path_factory):
    """(run folder, work folder, options) of a run on two sources, one of them share-alike, without probes."""
    work = tmp_path_factory.mktemp("work")
    for name, count in (("open", 60), ("alike", 120)):
        lines = [json.dumps(row) for row in rows(120)[count - 60:count]]
        (work / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    options = ["--recipe", tiny_recipe, "--work", work, *(f"--set={field}" for field in (
        "source=jsonl,jsonl", f"source_location={work}/open.jsonl,{work}/alike.jsonl",
        "source_licence=cc-by-4.0,cc-by-sa-4.0", "adapter_repo=carded", "dataset_repo=carded-split", "choice_rows=0",
        "two_shot_rows=0", "agreement_rows=0", "probe_rows=0", "usd_per_hour=1.2"))]
    hub.kira("run", *options)
    return work / "tiny", work, options


@pytest.fixture
def stage(finished, tmp_path):
    """A copy of what was published, and the test rows by id."""
    import pyarrow.parquet as pq

    shutil.copytree(finished[0] / "publication", tmp_path / "stage")
    table = pq.read_table(finished[0] / "data" / "data" / "test-00000-of-00001.parquet")
    return tmp_path / "stage", {row["id"]: row for row in table.to_pylist()}


def opening(card: str) -> str:
    """What it says first, but for triage, which the repository's own report decides."""
    first, second = card.split("\n# ", 1)[1].split("\n\n")[1:3]
    return (second if first.startswith("**Kira's triage") else first).strip()


def test_without_probes_it_says_first_that_forgetting_was_not_measured(finished):
    card = (finished[0] / "publication" / "README.md").read_text("utf-8")
    assert opening(card).startswith("**Retention: not measured.**")
    assert card.count("| not measured |") == 2 and "| states numbers or doses" in card
    body = card.split("\n# ", 1)[1]
    assert "\n\n\n" not in body and "{%" not in body and "None" not in body


def test_each_licence_and_each_file_is_named(finished):
    run_dir, _, _ = finished
    card = (run_dir / "publication" / "README.md").read_text("utf-8")
    for row in ("| adapter | `kira/carded` | apache-2.0 |", "| base | `kira/tiny` | apache-2.0 |",
                "| data | `open.jsonl` | cc-by-4.0 |", "| data | `alike.jsonl` | cc-by-sa-4.0, share-alike |"):
        assert row in card
    assert "Share-alike: what is made of alike.jsonl must" in card
    dataset = (run_dir / "data" / "README.md").read_text("utf-8")
    assert "under cc-by-sa-4.0 must be" in dataset and "By licence: cc-by-4.0 " in dataset
    for heading in ("Motivation", "Composition", "Collection process", "Preprocessing", "Uses", "Distribution",
                    "Maintenance"):
        assert f"\n## {heading}" in dataset
    manifest = read_json(run_dir / "publication" / "manifest.json")
    assert {"deltas.svg", "loss.svg", "releases.json"} <= set(manifest["files"])
    for name in re.findall(r"!\[[^]]+\]\((.+?)\)", card):
        assert name in manifest["files"]
    for name in ("adapter_model.safetensors", "recipe.json"):
        assert f"`{manifest['files'][name]}`" in card
    assert manifest["dataset"]["revision"] in card and manifest["base"]["revision"] in card


def test_costs_are_those_of_the_record(finished):
    card = (finished[0] / "publication" / "README.md").read_text("utf-8")
    training = read_json(finished[0] / "recipe.json")["stages"]["train"]
    told = training["estimate"]
    assert f"| training, s | {told['training_time_s']:.0f} | {training['training_time_s']:.0f} |" in card
    assert f"| cost at 1.2 USD an hour, USD | {told['cost_usd']} | {training['cost_usd']} |" in card


@pytest.mark.parametrize("licence, alike", [
    ("cc-by-sa-4.0", True), ("CC BY-SA 3.0", True), ("cc-by-nc-sa-4.0", True), ("gfdl", True), ("odbl", True),
    ("cc-by-4.0", False), ("hpo", False), ("usa-public", False), ("", False),
])
def test_share_alike(licence, alike):
    assert is_share_alike(licence) == alike


def measured(base: float, tuned: float, low: float, high: float, part: str, metric: str) -> dict:
    runs = {run: {"n": 8, "metrics": {}, "slices": {part: {metric: value}}}
            for run, value in (("base", base), ("tuned", tuned))}
    return {"runs": runs, "deltas": [{"from": "base", "to": "tuned", "slice": part, "metric": metric, "n": 8,
                                      "value": tuned - base, "low": low, "high": high, "p_holm": 0.01}]}


@pytest.mark.parametrize(("tuned", "forgotten"), [(10.6, True), (10.5, False), (9.0, False)])
def test_forgetting_begins_above_five_per_cent(tuned, forgotten):
    found = cards.retention(measured(10.0, tuned, tuned - 11, tuned - 9, "probe=general", "perplexity"))
    assert found["forgotten"] == forgotten and found["change"] == pytest.approx(tuned / 10 - 1)


@pytest.mark.parametrize(("tuned", "low", "high", "reading"), [
    (0.2, -0.4, -0.2, "worse"), (0.8, 0.2, 0.4, "better"), (0.5, 0, 0, "no change"),
    (0.4, -0.3, 0.1, "no significant change (worse by the figures)"),
])
def test_a_safety_loss_is_called_one(tuned, low, high, reading):
    rows = cards.safety(measured(0.5, tuned, low, high, "probe=outside", "abstention_rate"))
    assert [row["reading"] for row in rows] == ["not measured", reading, "not measured"]


def test_the_card_opens_with_what_was_forgotten_and_names_what_got_worse(stage):
    folder, texts = stage
    metrics = read_json(folder / "metrics.json")
    for part, metric, before, after in (("general", "perplexity", 10.0, 12.0), ("invented", "abstention_rate", 0.5, 0)):
        more = measured(before, after, after - before - 0.1, after - before + 0.1, f"probe={part}", metric)
        metrics["deltas"] += more["deltas"]
        for run in ("base", "tuned"):
            metrics["runs"][run]["slices"] |= more["runs"][run]["slices"]
    write_json(folder / "metrics.json", metrics)
    card = cards.render_card(folder, texts)
    assert opening(card).startswith("**It forgot:") and "from 10.000 to 12.000, by 20.0 %" in opening(card)
    assert "**Fine-tuning made this worse: how often it declines or doubts questions about invented things.**" in card


def test_answers_scored_during_training_get_a_plot(stage):
    folder, texts = stage
    assert "](generation.svg)" in cards.render_card(folder, texts) and (folder / "generation.svg").is_file()
    log = [line for line in read_json_lines(folder / "training_log.jsonl") if "probe_n" not in line]
    (folder / "generation.svg").unlink()
    write_json_lines(folder / "training_log.jsonl", log)
    cards.write_plots(folder)
    assert "generation.svg" not in cards.render_card(folder, texts) and not (folder / "generation.svg").exists()
    write_json_lines(folder / "training_log.jsonl", [*log, {"step": 4, "probe_rougeL": 0.25, "probe_n": 64}])
    cards.write_plots(folder)
    assert "](generation.svg)" in cards.render_card(folder, texts)
    assert "0.250" in (folder / "generation.svg").read_text("utf-8")


def test_failures_are_the_worst_rows_each_once(stage):
    folder, texts = stage
    answers = read_json_lines(folder / "answers.jsonl")
    made = failures.failures(answers, texts)
    assert made[0]["of"] == len(answers) and len(made[0]["items"]) == 5
    assert [i["scores"][1] for i in made[0]["items"]] == sorted(a["tuned"]["rougeL"] for a in answers)[:5]
    shown = [item["text"].splitlines()[0] for group in made for item in group["items"]]
    assert len(shown) == len(set(shown))
    for answer in answers:
        answer["base"]["rougeL"] = 0.0
        answer["tuned"]["answer"] = "Take 15 mg."
    worst, numbers = failures.failures(answers, texts)  # nothing was made worse, so that group is left out
    assert numbers["items"][0]["numbers"] == worst["items"][0]["numbers"] == ["15 mg"]
    assert numbers["of"] == len(answers)


def test_hostile_answers_stay_inert(stage, hub):
    folder, texts = stage
    answers = read_json_lines(folder / "answers.jsonl")
    for answer in answers:
        answer["tuned"]["answer"] = answer["base"]["answer"] = HOSTILE
        texts[answer["id"]] |= {"question": HOSTILE, "answer": HOSTILE}
    write_json_lines(folder / "answers.jsonl", answers)
    (folder / "README.md").write_text(cards.render_card(folder, texts), "utf-8")
    push(hub, folder, "kira/hostile")
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.goto(f"{hub.endpoint}/kira/hostile")
        assert page.title() != "run" and page.locator(".card script, .card img[src=x]").count() == 0
        assert page.get_by_role("heading", name="Not a heading").count() == 0
        assert page.get_by_role("heading", name="Citation").count() == 1
        blocks = page.locator(".card pre", has_text="Not a heading")
        assert blocks.count() == 5 and "<!-- {{ 1 }}" in blocks.first.inner_text()
        assert not re.search(r"(?m)^fine-tuned +5 mg", blocks.first.inner_text())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        for name in ("deltas.svg", "loss.svg"):
            assert page.locator(f"img[src$='{name}']").evaluate("i => i.complete && i.naturalWidth") > 300
        browser.close()


def test_the_hub_accepts_both_cards(finished, hub):
    for repo_type, path in (("model", "publication"), ("dataset", "data")):
        hub.python("-c", "import sys; from huggingface_hub import RepoCard\n"
                   "RepoCard.load(sys.argv[1]).validate(repo_type=sys.argv[2])",
                   finished[0] / path / "README.md", repo_type)


def test_releases_are_told_and_repeating_one_changes_nothing(finished, hub):
    run_dir, _, options = finished

    def published():
        return read_json(run_dir / "published.json")["adapter"]

    first = published()
    assert read_json(run_dir / "publication" / "releases.json") == []
    hub.kira("run", *options, "--set=max_new_tokens=4")
    second, card = published(), (run_dir / "publication" / "README.md").read_text("utf-8")
    (told,) = read_json(run_dir / "publication" / "releases.json")
    assert (first["tag"], second["tag"], told["tag"], told["revision"]) == ("v1", "v2", "v1", first["revision"])
    assert f"| v1 | `{told['adapter_sha256'][:12]}` | {told['metrics']['rougeL']:.4f} | " in card
    assert "KIRA_ADAPTER_REVISION=v1 python app.py" in card
    (run_dir / "published.json").unlink()
    hub.kira("publish", *options, "--set=max_new_tokens=4")
    assert published()["revision"] == second["revision"]


def test_a_tag_of_another_program_is_passed_over(hub, tmp_path):
    for name, text in (("metrics.json", "{}"), ("README.md", "other")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(text)
        push(hub, folder, "kira/foreign")
        tag = "v1" if name == "metrics.json" else "v2"
        hub.python("-c", f"from huggingface_hub import HfApi; HfApi().create_tag('kira/foreign', tag='{tag}')")
    found = hub.python("-c", "from train_space.publish import earlier_releases as e; print(e('kira/foreign', ''))")
    assert found.stdout.splitlines()[-1] == "[]"
