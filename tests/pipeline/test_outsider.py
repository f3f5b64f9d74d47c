"""Somebody with nothing of ours but the addresses: split, adapter by the card's snippet, metrics, streamed answers."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest

from tests.pipeline.conftest import ROOT

PACKAGES = ("huggingface_hub==2.4.0", "datasets==5.2.0", "peft==0.21.2", "transformers==5.23.0", "gradio_client==2.7.2")


@contextmanager
def space(hub, adapter: str, port: int):
    """The real `python app.py`, serving that adapter; yields its address once the page answers."""
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, stdout=subprocess.DEVNULL,
                               env=hub.environment(KIRA_ADAPTER_REPO=adapter, GRADIO_SERVER_PORT=str(port)))
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(url, timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, "the Space ended"
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def published(hub, recipe, work):
    hub.kira("run", "--recipe", recipe, "--work", work, "--set", "adapter_repo=outsider-lora")
    return "kira/outsider-lora"


def check(printed: str):
    assert re.search(r"^rows \d+$", printed, re.M)
    assert "'rougeL': " in printed and "'perplexity': " in printed
    for endpoint in ("/ask", "/compare"):
        steps = re.search(rf"^{endpoint} (\d+) ", printed, re.M)
        assert steps and int(steps[1]) > 1, printed


@pytest.mark.slow
def test_outsiders_script(hub, tiny_recipe, tmp_path):
    adapter = published(hub, tiny_recipe, tmp_path)
    with space(hub, adapter, 7931) as url:
        check(hub.python(ROOT / "tests" / "outsider.py", adapter, url, cwd=tmp_path, PYTHONPATH="").stdout)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_outsiders_script_in_an_environment_of_its_own(hub, tiny_recipe, tmp_path):
    adapter = published(hub, tiny_recipe, tmp_path)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    torch = os.environ.get("TORCH", "torch==2.13.0")
    subprocess.run([python, "-m", "pip", "install", "-q", torch, *PACKAGES], check=True)
    with space(hub, adapter, 7932) as url:
        done = subprocess.run([python, ROOT / "tests" / "outsider.py", adapter, url], cwd=tmp_path, capture_output=True,
                              text=True, env=hub.environment(PYTHONPATH="", HF_HOME=str(tmp_path / "home")))
    assert done.returncode == 0, done.stdout + done.stderr
    check(done.stdout)
