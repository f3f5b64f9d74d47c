"""A real server in a process of its own, and the real clients turned to it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2

from localhub.environment import client_environment

CHECKOUT = Path(__file__).resolve().parents[2]
TOKENS = {
    "local-write": {"user": "kira", "role": "write", "orgs": ["embedded"]},
    "local-read": {"user": "reader", "role": "read", "orgs": []},
    "other-write": {"user": "other", "role": "write", "orgs": []},
}


class Hub:
    def __init__(self, root: Path, port: int = 0, prefix: tuple[str, ...] = ()):
        self.root, self.log = root, root.parent / f"{root.name}.requests.jsonl"
        root.mkdir(parents=True, exist_ok=True)
        if not (root / "tokens.json").exists():
            (root / "tokens.json").write_text(json.dumps(TOKENS))
        command = [sys.executable, "-m", "localhub", "--root", str(root), "--port", str(port), "--log", str(self.log)]
        self.process = subprocess.Popen([*prefix, *command], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
        self.endpoint = self.process.stdout.readline().split()[1]
        self.http = httpx2.Client(base_url=self.endpoint, trust_env=False, timeout=30)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def api(self, token: str | bool = "local-write"):
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint, token=token)

    def requests(self, start: int = 0) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines()[start:]]

    def run(self, program: str, home: Path, arguments: tuple | list = (), **variables: str) -> str:
        """Runs a client program in a process of its own, where the environment comes before the imports."""
        environment = {**os.environ, **client_environment(self.endpoint, self.root, hf_home=home), **variables}
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout


def text_of(path: str) -> str:
    return Path(path).read_text("utf-8")


def tip(hub: Hub, repo_id: str, kind: str = "models") -> str:
    return hub.http.get(f"/api/{kind}/{repo_id}", headers=bearer()).json()["sha"]


def bearer(token: str = "local-write") -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def commit_body(*lines: tuple[str, dict], summary: str = "a commit", **header: str) -> bytes:
    entries = [("header", {"summary": summary, **header}), *lines]
    return b"".join(json.dumps({"key": key, "value": value}).encode() + b"\n" for key, value in entries)
