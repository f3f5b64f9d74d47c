"""A sweep makes every run once, and its tables say what the runs recorded."""

import csv
import json

import pytest
import yaml

from kira.errors import UserError
from train_space import recipe, stages, sweep


@pytest.fixture(scope="module")
def swept(hub, tiny_recipe, tmp_path_factory):
    """(folder, work, results) of a sweep of two labels and two seeds."""
    folder = tmp_path_factory.mktemp("sweep")
    path = folder / "rates.yaml"
    path.write_text(yaml.safe_dump({
        "recipe": str(tiny_recipe), "set": {"usd_per_hour": 3.5}, "seeds": [1, 2], "against": "slow",
        "runs": {"slow": {"learning_rate": 1e-4, "seeds": [1]}, "fast": {},
                 "leaky": {"split": "random", "seeds": [1]}}}, sort_keys=False), "utf-8")
    command = "sweep", path, "--work", folder / "work", "--results", folder / "results"
    first = hub.kira(*command, "--only", "slow", "--only", "leaky")
    assert "2 of 4 runs are still to be made, fast-1 the first." in first.stdout
    assert {r["label"] for r in table(folder / "results" / "model_comparison.csv")} == {"slow", "leaky"}
    hub.kira(*command, "--only", "fast")
    return folder, path


def table(path):
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.slow
def test_every_run_has_a_full_row_that_its_record_bears_out(swept):
    folder, _ = swept
    rows = table(folder / "results" / "experiment_tracking.csv")
    assert [(r["label"], r["seed"]) for r in rows] == [("slow", "1"), ("fast", "1"), ("fast", "2"),
                                                       ("leaky", "1")]
    assert all(cell != "" for row in rows for cell in row.values())
    for row in rows:
        kept = folder / "results" / "runs" / "rates" / f"{row['label']}-{row['seed']}"
        learnt = json.loads((kept / "recipe.json").read_text())["stages"]["train"]
        metrics = json.loads((kept / "metrics.json").read_text())
        assert float(row["validation_loss"]) == learnt["best_validation_loss"]
        paid_s = learnt["training_time_s"] + learnt["probe_time_s"]
        assert float(row["cost_usd"]) == pytest.approx(paid_s * 3.5 / 3600, abs=1e-4)
        assert float(row["tuned_rougeL"]) == round(metrics["runs"]["tuned"]["metrics"]["rougeL"], 4)


@pytest.mark.slow
def test_comparison_holds_each_label_against_base_and_reference(swept):
    folder, _ = swept
    rows = {(r["label"], r["metric"]): r for r in table(folder / "results" / "model_comparison.csv")}
    assert set(rows) == {(label, metric) for label in ("slow", "fast", "leaky")
                         for metric in ("rougeL", "perplexity")}
    for label in ("slow", "leaky"):  # each is the reference of its split
        for metric in ("rougeL", "perplexity"):
            row = rows[label, metric]
            assert row["reference"] == label and float(row["from_reference"]) == 0
            gains = float(row["from_base_low"]) > 0 or float(row["from_base_high"]) < 0
            assert row["gain_ratio"] == ("1.0" if gains else "the reference has no significant gain")
    better = rows["fast", "perplexity"]
    assert float(better["from_base"]) < 0 and float(better["from_reference_high"]) < 0  # 100 times the learning rate
    gain = float(better["from_base"]) / float(rows["slow", "perplexity"]["from_base"])
    assert float(better["gain_ratio"]) == pytest.approx(gain, rel=0.01)
    assert 1 < float(better["gain_ratio_low"]) < float(better["gain_ratio_high"])
    scores = [json.loads((folder / "results" / "runs" / "rates" / f"fast-{seed}" / "metrics.json").read_text())
              ["runs"]["tuned"]["metrics"]["perplexity"] for seed in (1, 2)]
    assert float(better["mean"]) == pytest.approx(sum(scores) / 2, abs=1e-4)
    assert float(better["standard_deviation"]) == pytest.approx(abs(scores[0] - scores[1]) / 2 ** 0.5, abs=1e-4)
    chosen = json.loads((folder / "results" / "training_config.json").read_text())
    assert chosen["label"] == "fast" and chosen["recipe"]["learning_rate"] == 0.01


@pytest.mark.slow
def test_a_second_sweep_repeats_nothing_and_says_the_same(swept, hub):
    folder, path = swept
    before = {p: p.read_bytes() for p in (folder / "results").rglob("*") if p.is_file()}
    done = hub.kira("sweep", path, "--work", folder / "elsewhere", "--results", folder / "results")
    assert done.stdout.count(" is in ") == 4 and not (folder / "elsewhere").exists()
    assert {p: p.read_bytes() for p in (folder / "results").rglob("*") if p.is_file()} == before


def test_a_run_s_peak_memory_is_not_that_of_the_run_before(tiny_recipe, tmp_path):
    peaks = []
    for name, size in (("large", 400_000_000), ("small", 1000)):
        made = recipe.load(str(tiny_recipe), {"name": name})
        with stages.recorded(tmp_path / name, made, "prepare", {}):
            bytearray(size)
        peaks.append(json.loads((tmp_path / name / "recipe.json").read_text())["stages"]["prepare"]["peak_memory_mb"])
    assert peaks[0]["resident"] - peaks[1]["resident"] > 300


@pytest.mark.slow
def test_a_run_from_its_kept_recipe_has_the_same_loss_curve(swept, hub, tmp_path):
    folder, _ = swept
    kept = json.loads((folder / "results" / "runs" / "rates" / "fast-2" / "recipe.json").read_text())["recipe"]
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(kept), "utf-8")
    for stage in ("prepare", "train"):
        hub.kira(stage, "--recipe", path, "--work", tmp_path)
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
