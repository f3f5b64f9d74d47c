"""The real training page against a local Hub with a tiny base on it; Hub, browser and base are the other tests' own."""

import subprocess
import sys
import urllib.request

import pytest

from tests.pipeline.conftest import ROOT, hub, tiny_base  # noqa: F401
from tests.space.conftest import Visit, browser, free_port, wait_until  # noqa: F401


class Page:
    """A running `python -m train_space.ui`."""

    def __init__(self, env: dict, folder):
        self.folder, port = folder, free_port()
        self.url, self.log_path = f"http://127.0.0.1:{port}", folder / "log"
        with self.log_path.open("w") as out:
            self.process = subprocess.Popen([sys.executable, "-m", "train_space.ui"], cwd=ROOT, stdout=out, stderr=out,
                                            env=env | {"GRADIO_SERVER_PORT": str(port), "TMPDIR": str(folder)})
        wait_until(self.answers, "the training page")

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log_path.read_text()
        try:
            return urllib.request.urlopen(self.url, timeout=5).status == 200
        except OSError:
            return False


@pytest.fixture(scope="session")
def trainer(hub, tiny_base, tmp_path_factory):  # noqa: F811
    running = Page(hub.environment(OMP_NUM_THREADS="1"), tmp_path_factory.mktemp("trainer"))
    yield running
    if running.process.poll() is None:
        running.process.terminate()
        running.process.wait(20)


@pytest.fixture
def open_page(browser, trainer):  # noqa: F811
    seen = []

    def open_one(**options):
        seen.append(Visit(browser, trainer.url, **options))
        return seen[-1]

    yield open_one
    for each in seen:
        each.page.close()
