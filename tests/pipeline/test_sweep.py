"""A sweep makes every run once, and its tables say what the runs recorded."""

import csv
import json

import pytest
import yaml

from kira.errors import UserError
from train_space import sweep


@pytest.fixture(scope="module")
def swept(hub, tiny_recipe, tmp_path_factory):
    """(folder, work, results) of a sweep of two labels and two seeds."""
    folder = tmp_path_factory.mktemp("sweep")
    path = folder / "rates.yaml"
    path.write_text(yaml.safe_dump({
        "recipe": str(tiny_recipe), "set": {"usd_per_hour": 3.5}, "seeds": [1, 2], "against": "slow",
        "runs": {"slow": {"learning_rate": 1e-4}, "fast": {}}}, sort_keys=False), "utf-8")
    hub.kira("sweep", path, "--work", folder / "work", "--results", folder / "results")
    return folder, path


def table(path):
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_every_run_has_a_full_row_that_its_record_bears_out(swept):
    folder, _ = swept
    rows = table(folder / "results" / "experiment_tracking.csv")
    assert [(r["label"], r["seed"]) for r in rows] == [("slow", "1"), ("slow", "2"), ("fast", "1"), ("fast", "2")]
    assert all(cell != "" for row in rows for cell in row.values())
    for row in rows:
        kept = folder / "results" / "runs" / "rates" / f"{row['label']}-{row['seed']}"
        learnt = json.loads((kept / "recipe.json").read_text())["stages"]["train"]
        metrics = json.loads((kept / "metrics.json").read_text())
        assert float(row["validation_loss"]) == learnt["best_validation_loss"]
        paid_s = learnt["training_time_s"] + learnt["probe_time_s"]
        assert float(row["cost_usd"]) == pytest.approx(paid_s * 3.5 / 3600, abs=1e-4)
        assert float(row["tuned_rougeL"]) == round(metrics["runs"]["tuned"]["metrics"]["rougeL"], 4)


def test_comparison_holds_each_label_against_base_and_reference(swept):
    folder, _ = swept
    rows = {(r["label"], r["metric"]): r for r in table(folder / "results" / "model_comparison.csv")}
    assert set(rows) == {(label, metric) for label in ("slow", "fast") for metric in ("rougeL", "perplexity")}
    assert all(float(rows["slow", metric]["from_reference"]) == 0 for metric in ("rougeL", "perplexity"))
    better = rows["fast", "perplexity"]
    assert float(better["from_base"]) < 0 and float(better["from_reference_high"]) < 0  # 100 times the learning rate
    scores = [json.loads((folder / "results" / "runs" / "rates" / f"fast-{seed}" / "metrics.json").read_text())
              ["runs"]["tuned"]["metrics"]["perplexity"] for seed in (1, 2)]
    assert float(better["mean"]) == pytest.approx(sum(scores) / 2, abs=1e-4)
    assert float(better["standard_deviation"]) == pytest.approx(abs(scores[0] - scores[1]) / 2 ** 0.5, abs=1e-4)
    chosen = json.loads((folder / "results" / "training_config.json").read_text())
    assert chosen["label"] == "fast" and chosen["recipe"]["learning_rate"] == 0.01


def test_a_second_sweep_repeats_nothing_and_says_the_same(swept, hub):
    folder, path = swept
    before = {p: p.read_bytes() for p in (folder / "results").rglob("*") if p.is_file()}
    done = hub.kira("sweep", path, "--work", folder / "work", "--results", folder / "results")
    assert done.stdout.count("unchanged, skipped") == 12
    assert {p: p.read_bytes() for p in (folder / "results").rglob("*") if p.is_file()} == before


@pytest.mark.slow
def test_a_run_from_its_kept_recipe_has_the_same_loss_curve(swept, hub, tmp_path):
    folder, _ = swept
    kept = json.loads((folder / "results" / "runs" / "rates" / "fast-2" / "recipe.json").read_text())["recipe"]
    recipe = tmp_path / "again.yaml"
    recipe.write_text(yaml.safe_dump(kept), "utf-8")
    for stage in ("prepare", "train"):
        hub.kira(stage, "--recipe", recipe, "--work", tmp_path)
    logs = [(run / "train" / "log.jsonl").read_text() for run in (tmp_path / "fast-2", folder / "work/rates/fast-2")]
    assert logs[0] == logs[1] and "eval_loss" in logs[0]


@pytest.mark.parametrize(("text", "said"), [
    ("runs: [1]", "takes against, recipe, runs, seeds, set"),
    ("recipe: embedded\nrums: {}", "takes against"),
    ("recipe: embedded\nruns: {a: {lora_rank: 8}}", "unknown field 'lora_rank'"),
    ("recipe: embedded\nagainst: b\nruns: {a: {}}", "which is none of them"),
    ("runs: {", "not valid YAML"),
])
def test_bad_files_are_told_in_a_sentence(tmp_path, text, said):
    path = tmp_path / "bad.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError) as error:
        sweep.load(path)
    assert said in str(error.value)


def test_the_shipped_sweep_loads():
    plan = sweep.load(sweep.Path("recipes/sweeps/embedded.yaml"))
    assert plan.against in plan.runs and all(len(made) == 1 for made in plan.runs.values())
