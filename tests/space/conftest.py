"""A real local Hub with a tiny model on it, the real `python app.py` that serves it, and a browser that visits it."""

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
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
CANARY = "canary-7f3a9"
SECOND = "kira/tiny-lora-of_a_second_and_longer_run"  # as long as names are, with few places to break a line
SHOTS = ROOT / ".kira" / "screenshots"
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--no-first-run"]
expect.set_options(timeout=60_000)


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
        "KIRA_QUESTIONS_PER_MINUTE": "10000",
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

    def __init__(self, env: dict, log: Path, cwd: Path = ROOT):
        self.port, self.log_path = free_port(), log
        self.url = f"http://127.0.0.1:{self.port}"
        with log.open("w") as out:
            self.process = subprocess.Popen([sys.executable, ROOT / "app.py"], cwd=cwd, stdout=out, stderr=out,
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


@pytest.fixture
def patient_space(hub, published, tmp_path):
    """One whose longest answer, half of all positions, outlasts a Stop that takes its time."""
    running = Space(environment(hub, published.home, KIRA_MAX_PROMPT_TOKENS="8000"), tmp_path / "log")
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

    return Engine(published.base, [published.adapter], "cpu", 400, 8000)


@pytest.fixture(scope="session")
def engine_at(published):
    """Makes a RemoteEngine for an address."""
    from kira.artifacts import Source
    from kira.remote import RemoteEngine
    from kira.settings import Settings

    def make(url, adapters_count=1, **more):
        base, *adapters = (Source(repo, published.shas[name], folder) for repo, name, folder in (
            ("kira/tiny", "base", published.base), ("kira/tiny-lora", "main", published.adapter),
            (SECOND, "beside", published.folder / "beside")))
        limits = {"max_prompt_tokens": 400, "max_new_tokens": 8000}
        return RemoteEngine(base, adapters[:adapters_count], Settings(inference_url=url, **limits, **more))

    return make


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        yield chromium
        chromium.close()


class Visit:
    """An open page that remembers what it asked of other hosts and what it complained about."""

    def __init__(self, browser, url, width=1280, dark=False, **context):
        self.suffix = f"{width}{'-dark' if dark else ''}.png"
        self.page = browser.new_page(viewport={"width": width, "height": 844},
                                     color_scheme="dark" if dark else "light", **context)
        self.outside, self.complaints = [], []
        self.page.on("request", lambda r: r.url.startswith((url, "data:", "blob:")) or self.outside.append(r.url))
        self.page.on("console", lambda m: m.type == "error" and self.complaints.append(m.text))
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.goto(url)

    def tab(self, name):
        self.page.get_by_role("tab", name=name).click()

    def ask(self, text):
        self.page.get_by_label("Your question").fill(text)
        self.page.get_by_role("button", name="Send", exact=True).click()

    def finished(self):
        expect(self.page.get_by_text("a second, first after").locator("visible=true")).to_be_visible()

    def check(self):
        """No sideways scrolling, nothing that axe calls serious, no request elsewhere, no complaint."""
        assert self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        found = [(v["id"], v["nodes"][0]["html"]) for v in Axe().run(self.page).response["violations"]
                 if v["impact"] in ("serious", "critical")]
        assert not found and not self.outside and not self.complaints

    def shot(self, name):
        """Checks, and leaves a picture to be looked at."""
        self.check()
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}-{self.suffix}", full_page=True)


@pytest.fixture
def visit(browser, space):
    visits = []

    def open_page(url=space.url, **options):
        visits.append(Visit(browser, url, **options))
        return visits[-1]

    yield open_page
    for each in visits:
        each.page.close()
