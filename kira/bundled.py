"""What ships with this repository and needs no Hub: the release's figures, the safety report, every run's figures."""

import csv
import json
from functools import cache
from pathlib import Path

from kira.artifacts import Results, read_json_lines
from kira.service import service

ROOT = Path(__file__).resolve().parent.parent
REPORTS, RELEASE = ROOT / "results", ROOT / "release"
FILES = ("safety.json", "help_now.json", "experiment_tracking.csv", "model_comparison.csv")


def results(number: int) -> Results:
    """What Results shows: an adapter's published figures, or the release's where there are none once all is loaded."""
    found = service.results[number]
    return found if found.metrics or not service.ready.is_set() else release_results()


@cache
def release_results() -> Results:
    """The release's figures and training log, without answers, as no text of the rows ships; empty without release/."""
    if not (RELEASE / "metrics.json").is_file():
        return Results()
    metrics, manifest = (json.loads((RELEASE / f"{name}.json").read_text("utf-8")) for name in ("metrics", "manifest"))
    return Results(manifest["card"]["repo"], "", metrics, read_json_lines(RELEASE / "training_log.jsonl"), bundled=True)


@cache
def report(name: str) -> dict | None:
    """results/NAME.json, where it is there."""
    path = REPORTS / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


@cache
def runs() -> list[dict[str, str]]:
    """Every run of the experiments: its settings, scores and costs."""
    return _table("experiment_tracking.csv")


@cache
def comparisons() -> list[dict[str, str]]:
    """Every recipe against the base and against its split's reference."""
    return _table("model_comparison.csv")


def _table(name: str) -> list[dict[str, str]]:
    path = REPORTS / name
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
