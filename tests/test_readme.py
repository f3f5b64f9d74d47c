"""README tells the truth: its generated parts are what the code says, its front matter is a valid Space's."""

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from kira.settings import settings
from train_space import release
from train_space.readme import render

ROOT = Path(__file__).resolve().parent.parent


def test_generated_parts_are_up_to_date():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert render(readme) == readme, "run `make readme`"


def test_the_shipped_card_is_up_to_date_and_quotes_nothing(tmp_path):
    folder = tmp_path / "release"
    shutil.copytree(release.FOLDER, folder)
    release.describe_shipped(folder)
    for path in release.FOLDER.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes(), f"{path.name}: run `make readme`"
    assert "Reference" not in (folder / "README.md").read_text("utf-8").split("## Where it fails")[1].split("##")[0]
    assert (folder / "adapter_model.safetensors").stat().st_size <= 12e6


def test_front_matter():
    front = yaml.safe_load((ROOT / "README.md").read_text("utf-8").split("\n---\n")[0])
    assert front["sdk"] == "gradio" and (ROOT / front["app_file"]).is_file()
    assert f"gradio=={front['sdk_version']}" in (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    assert len(front["short_description"]) <= 60  # the Hub's limit
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {front["colorFrom"], front["colorTo"]} <= colours
    assert front["python_version"] == "3.12" and "mcp-server" in front["tags"]
    assert front["models"] == [settings().base_repo, settings().adapter_repo]
    assert front["datasets"] == [settings().dataset_repo]
    assert "preload_from_hub" not in front  # no sha of these could be fetched


def test_requirements_cover_what_the_design_names():
    text = "".join((ROOT / name).read_text("utf-8") for name in ("requirements.txt", "train_space/requirements.txt"))
    named = {line.split("=")[0].split(">")[0] for line in text.splitlines()}
    assert {"gradio", "transformers", "peft", "bitsandbytes", "huggingface_hub", "datasets", "trl", "accelerate",
            "torch", "evaluate", "rouge-score", "spaces"} <= named


def test_help_is_instant_and_complete():
    shown = subprocess.run([sys.executable, "-m", "train_space", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0
    for command in ("prepare", "train", "evaluate", "publish", "run", "verify"):
        assert command in shown.stdout
