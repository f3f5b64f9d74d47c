"""A copy of a deployed Space, downloaded into an empty folder, running there as the Hub runs it."""

import subprocess
import sys
import urllib.request
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from tests.space.conftest import environment, free_port

# What the Hub itself puts into the environment of a Space, and of one with `hf_oauth`.
OF_A_SPACE = {"SYSTEM": "spaces", "SPACE_HOST": "kira-space.example", "GRADIO_SERVER_NAME": "127.0.0.1",
              "OAUTH_CLIENT_ID": "an-id", "OAUTH_CLIENT_SECRET": "a-secret", "OAUTH_SCOPES": "openid profile",
              "OPENID_PROVIDER_URL": "http://127.0.0.1:9"}


class Copy:
    """A downloaded Space that runs with the variables that it has on the Hub, and nothing of the checkout's."""

    def __init__(self, hub: str, repo: str, folder: Path, home: Path, interpreter=sys.executable, **more: str):
        """`more` comes on top of its environment, in which there is no token."""
        api, self.folder, self.log_path = HfApi(endpoint=hub, token="local-write"), folder / "copy", folder / "log"
        snapshot_download(repo, repo_type="space", local_dir=self.folder, endpoint=hub, token="local-write")
        given = {name: variable.value for name, variable in api.get_space_variables(repo).items()}
        port = free_port()
        env = {name: value for name, value in environment(hub, home).items()
               if name not in ("PYTHONPATH", "HF_TOKEN") and not name.startswith("KIRA_")}
        env |= OF_A_SPACE | given | {"SPACE_ID": repo, "GRADIO_SERVER_PORT": str(port), "TMPDIR": str(folder)} | more
        self.url = f"http://127.0.0.1:{port}"
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
