"""A copy of each deployed Space, downloaded into an empty folder, starts by itself, as the Hub starts it."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download
from playwright.sync_api import expect

from tests.space.conftest import Visit, environment, python, wait_until
from tests.space.staged import Copy

MAIN, TRAINING = "kira/copied", "kira/copied-training"


@pytest.fixture
def copy(hub, published, tmp_path):
    """Deploys both Spaces, and starts a copy of the named one with an interpreter; all end with the test."""
    started, run = [], tmp_path / "embedded"
    run.mkdir()
    (run / "space.env").write_text(
        f"KIRA_ADAPTER_REPO=kira/tiny-lora\nKIRA_ADAPTER_REVISION={published.shas['main']}\n")
    done = python("-m", "train_space", "deploy", MAIN, "--work", tmp_path, env=environment(hub, published.home))
    assert done.returncode == 0, done.stderr

    def start(repo, interpreter=sys.executable):
        folder = tmp_path / repo.split("/")[1]
        folder.mkdir()
        started.append(Copy(hub, repo, folder, published.home, interpreter))
        return started[-1]

    start.hub = hub
    yield start
    for each in started:
        each.stop()


def imports_nothing_of_the_checkout(interpreter):
    alone = subprocess.run([interpreter, "-c", "import kira"], cwd="/", capture_output=True, text=True,
                           env={"PATH": os.environ["PATH"]})
    assert "No module named 'kira'" in alone.stderr


def answers_with_the_pinned_adapter(main, published):
    wait_until(main.answers, "the public Space", 280)
    done = subprocess.run([sys.executable, "-c", ASK, main.url], capture_output=True, text=True, timeout=280)
    assert done.stdout.split() == [f"kira/tiny-lora@{published.shas['main']}"], done.stderr


def offers_to_sign_in_and_to_duplicate(training):
    wait_until(training.answers, "the training Space", 280)
    page = urllib.request.urlopen(training.url).read().decode()
    for words in ("Train your own Kira", "kira/tiny", "Sign in with Hugging Face", "Duplicate this Space"):
        assert words in page


ASK = """
import sys
from gradio_client import Client
print(Client(sys.argv[1], verbose=False).predict("What is a fever?", None, 8, api_name="/ask")["model"])
"""


@pytest.mark.slow
def test_copies_start_by_themselves(copy, published, browser):
    imports_nothing_of_the_checkout(sys.executable)
    main, training = copy(MAIN), copy(TRAINING)
    answers_with_the_pinned_adapter(main, published)
    offers_to_sign_in_and_to_duplicate(training)
    seen = Visit(browser, main.url, width=390)
    seen.page.get_by_role("button", name="Privacy, waiting").click()
    expect(seen.page.get_by_role("heading", name="What becomes of your question")).to_be_visible()
    expect(seen.page.get_by_role("button", name="Duplicate this Space")).to_be_visible()
    seen.shot("space")
    seen.page.close()
    seen = Visit(browser, training.url, width=390)
    expect(seen.page.get_by_text("Please sign in first")).to_be_visible()
    expect(seen.page.get_by_role("button", name="Sign in with Hugging Face")).to_be_visible()
    seen.shot("training-space")
    seen.page.close()


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_copies_start_with_what_their_requirements_install(copy, published, tmp_path):
    """In an environment of its own; only torch is, as in the Makefile, the one that this machine's index has."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    interpreter = tmp_path / "venv" / "bin" / "python"

    def install(*what):
        subprocess.run([interpreter, "-m", "pip", "install", "-q", *what], check=True)

    def start(repo):
        folder = tmp_path / f"requirements-of-{repo.split('/')[1]}"
        staged = hf_hub_download(repo, "requirements.txt", repo_type="space", endpoint=copy.hub, local_dir=folder)
        lines = Path(staged).read_text("utf-8").splitlines()
        (folder / "others.txt").write_text("\n".join(line for line in lines if not line.startswith("torch==")))
        install("-r", folder / "others.txt")
        return copy(repo, interpreter)

    install(os.environ.get("TORCH", "torch==2.13.0"))
    main = start(MAIN)
    answers_with_the_pinned_adapter(main, published)
    main.stop()
    offers_to_sign_in_and_to_duplicate(start(TRAINING))
