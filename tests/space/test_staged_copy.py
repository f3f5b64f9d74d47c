"""A copy of each deployed Space, downloaded into an empty folder, starts by itself, as the Hub starts it."""

import os
import subprocess
import sys
import urllib.request

import pytest
from huggingface_hub import HfApi, snapshot_download

from tests.space.conftest import environment, free_port, python, wait_until

# What the Hub itself puts into the environment of a Space, and of one with `hf_oauth`.
OF_A_SPACE = {"SYSTEM": "spaces", "SPACE_HOST": "kira-space.example", "GRADIO_SERVER_NAME": "127.0.0.1",
              "OAUTH_CLIENT_ID": "an-id", "OAUTH_CLIENT_SECRET": "a-secret", "OAUTH_SCOPES": "openid profile",
              "OPENID_PROVIDER_URL": "http://127.0.0.1:9"}


class Copy:
    """A downloaded Space that runs with the variables that it has on the Hub, and nothing of the checkout's."""

    def __init__(self, hub, repo, folder, home, interpreter=sys.executable):
        api, self.folder, self.log_path = HfApi(endpoint=hub, token="local-write"), folder / "copy", folder / "log"
        snapshot_download(repo, repo_type="space", local_dir=self.folder, endpoint=hub, token="local-write")
        given = {name: variable.value for name, variable in api.get_space_variables(repo).items()}
        port = free_port()
        env = {name: value for name, value in environment(hub, home).items()
               if name not in ("PYTHONPATH", "HF_TOKEN") and not name.startswith("KIRA_")}
        env |= OF_A_SPACE | given | {"SPACE_ID": repo, "GRADIO_SERVER_PORT": str(port), "TMPDIR": str(folder)}
        self.interpreter, self.url = interpreter, f"http://127.0.0.1:{port}"
        with self.log_path.open("w") as out:
            self.process = subprocess.Popen([interpreter, "app.py"], cwd=self.folder, env=env, stdout=out, stderr=out)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log_path.read_text()
        try:
            return urllib.request.urlopen(self.url, timeout=5).status == 200
        except OSError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def copies(hub, published, tmp_path):
    """Deploys both Spaces and starts a copy of each with an interpreter; all end with the test."""
    started = []

    def start(interpreter=sys.executable):
        (tmp_path / "embedded").mkdir()
        (tmp_path / "embedded" / "space.env").write_text(
            f"KIRA_ADAPTER_REPO=kira/tiny-lora\nKIRA_ADAPTER_REVISION={published.shas['main']}\n")
        done = python("-m", "train_space", "deploy", "kira/copied", "--work", tmp_path, env=environment(
            hub, published.home))
        assert done.returncode == 0, done.stderr
        for repo in ("kira/copied", "kira/copied-training"):
            folder = tmp_path / repo.split("/")[1]
            folder.mkdir()
            started.append(Copy(hub, repo, folder, published.home, interpreter))
        return started

    yield start
    for copy in started:
        copy.stop()


def check(main: Copy, training: Copy, published) -> None:
    alone = subprocess.run([main.interpreter, "-c", "import kira"], cwd="/", capture_output=True, text=True,
                           env={"PATH": os.environ["PATH"]})
    assert "No module named 'kira'" in alone.stderr  # so what the copies import lies in their own folders
    wait_until(main.answers, "the public Space", 280)
    wait_until(training.answers, "the training Space", 280)
    done = subprocess.run([sys.executable, "-c", ASK, main.url], capture_output=True, text=True, timeout=280)
    assert done.stdout.split() == [f"kira/tiny-lora@{published.shas['main']}"], done.stderr
    page = urllib.request.urlopen(training.url).read().decode()
    for words in ("Train your own Kira", "kira/tiny", "Sign in with Hugging Face", "Duplicate this Space"):
        assert words in page


ASK = """
import sys
from gradio_client import Client
print(Client(sys.argv[1], verbose=False).predict("What is a fever?", None, 8, api_name="/ask")["model"])
"""


def test_copies_start_by_themselves(copies, published):
    check(*copies(), published)
