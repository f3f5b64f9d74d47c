"""The embedded recipe on real question-answer files beats its base on the test split. Needs KIRA_DATA; minutes long."""

import json
import os
from pathlib import Path

import pytest

FILES = {
    "medquad": ("medquad.parquet", "cc-by-4.0"),
    "flashcards": ("medical_meadow_wikidoc_patient_information.json", "cc-by-sa-4.0"),
}


@pytest.mark.slow
@pytest.mark.development_data
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("source", FILES)
def test_embedded_recipe_beats_its_base(hub, source, tmp_path):
    assert os.environ.get("KIRA_DATA"), "set KIRA_DATA to the folder of the development data"
    name, licence = FILES[source]
    path = Path(os.environ["KIRA_DATA"]) / name
    assert path.is_file(), f"KIRA_DATA holds no {name}"
    printed = hub.kira(
        "run", "--work", tmp_path, "--set", f"name={source}", "--set", f"source={source}", "--set",
        f"source_location={path}", "--set", f"source_licence={licence}", "--set", f"dataset_repo={source}-split",
        "--set", f"adapter_repo={source}-lora", timeout_s=2900,
    ).stdout
    print(printed)
    metrics = json.loads((tmp_path / source / "evaluation" / "metrics.json").read_text())
    deltas = {d["metric"]: d for d in metrics["deltas"] if (d["from"], d["to"], d["slice"]) == ("base", "tuned", "all")}
    assert metrics["runs"]["tuned"]["n"] >= 100
    assert deltas["rougeL"]["low"] > 0
    assert deltas["perplexity"]["high"] < 0
