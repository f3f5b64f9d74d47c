"""A real local Hub with a tiny model on it, and the real `python app.py` that serves it."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
CANARY = "canary-7f3a9"


def wait_until(true, what: str, patience_s: float = 90):
    """Returns once `true()` holds; patience is only the time after which the test gives up."""
    end = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < end, f"gave up waiting for {what}"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(endpoint: str, home: Path, **more) -> dict:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "KIRA_", "GRADIO_", "SPACE"))}
    return kept | {
        "HF_ENDPOINT": endpoint, "HF_TOKEN": "local-write", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONPATH": str(ROOT),
        "CUDA_VISIBLE_DEVICES": "", "KIRA_ADAPTER_REPO": "kira/tiny-lora", "KIRA_BASE_REPO": "kira/tiny",
        "KIRA_MAX_NEW_TOKENS": "8000", "KIRA_DEADLINE_S": "3000", "KIRA_DEFAULT_NEW_TOKENS": "60",
    } | more


def python(*arguments, env, timeout_s=200) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *map(str, arguments)], env=env, cwd=ROOT, capture_output=True, text=True,
                          timeout=timeout_s)


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    """Address of a running local Hub."""
    root = tmp_path_factory.mktemp("space-hub") / "root"
    process = subprocess.Popen([sys.executable, "-m", "localhub", "--root", str(root), "--port", "0"], cwd=ROOT,
                               stdout=subprocess.PIPE, text=True)
    yield re.search(r"http://[\d.]+:\d+", process.stdout.readline())[0]
    process.terminate()
    process.wait(10)


class Published:
    def __init__(self, folder: Path, home: Path, shas: dict):
        self.folder, self.home, self.shas = folder, home, shas
        self.base, self.adapter = folder / "base", folder / "adapter"


@pytest.fixture(scope="session")
def published(hub, tmp_path_factory):
    """What publish_tiny.py made: folders, shas by name, and the cache (HF_HOME) that the Space uses."""
    folder, home = tmp_path_factory.mktemp("published"), tmp_path_factory.mktemp("hf-home")
    done = python(HERE / "publish_tiny.py", folder, env=environment(hub, tmp_path_factory.mktemp("publisher-home")))
    assert done.returncode == 0, done.stderr
    return Published(folder, home, json.loads(done.stdout.splitlines()[-1]))


class Space:
    """A running app.py."""

    def __init__(self, env: dict, log: Path):
        self.port, self.log_path = free_port(), log
        self.url = f"http://127.0.0.1:{self.port}"
        with log.open("w") as out:
            self.process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, stdout=out, stderr=out,
                                            env=env | {"GRADIO_SERVER_PORT": str(self.port)})

    def log(self) -> str:
        return self.log_path.read_text()

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log()
        try:
            return urllib.request.urlopen(self.url, timeout=5).status == 200
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="session")
def space(hub, published, tmp_path_factory):
    running = Space(environment(hub, published.home), tmp_path_factory.mktemp("space") / "log")
    wait_until(running.answers, "the page")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def client(space):
    from gradio_client import Client

    return Client(space.url, verbose=False)


@pytest.fixture(scope="session")
def engine(published):
    from kira.engine import Engine

    return Engine(published.base, published.adapter, "cpu", 400, 8000)
