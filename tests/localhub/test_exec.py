"""`python -m localhub exec`: a Hub for the time of one command."""

import os
import signal
import socket
import subprocess
import sys
import time

import httpx2
import pytest
from hub import CHECKOUT


def start(root, *command: str, port: int = 0, options: tuple[str, ...] = ()) -> subprocess.Popen:
    run = [sys.executable, "-m", "localhub", "exec", "--root", str(root), "--port", str(port), *options, "--", *command]
    return subprocess.Popen(run, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program)


def test_environment_and_status(tmp_path):
    program = """
import os, sys
from huggingface_hub import HfApi
assert HfApi().whoami()["name"] == "kira"
print(os.environ["HF_ENDPOINT"], os.environ["HF_HOME"], os.environ["HF_HUB_DISABLE_XET"])
sys.exit(7)
"""
    process = start(tmp_path / "hub", *python(program))
    output, messages = process.communicate()
    assert process.returncode == 7, messages
    endpoint, home, no_xet = output.split()
    assert (home, no_xet) == (str(tmp_path / "hf-home"), "1")
    assert f"localhub: {endpoint}  (root {tmp_path / 'hub'})" in messages
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(endpoint, trust_env=False)  # it ended with the command


def test_another_port_when_the_wanted_one_is_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        program = "import os; print(os.environ['HF_ENDPOINT'])"
        output, _ = start(tmp_path / "hub", *python(program), port=port).communicate()
    assert output.startswith("http://127.0.0.1:") and not output.strip().endswith(f":{port}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_command_and_its_children(tmp_path, number):
    inner = f"import time; open({str(tmp_path / 'pid')!r}, 'w').write(str(__import__('os').getpid())); time.sleep(60)"
    process = start(tmp_path / "hub", "sh", "-c", f'"{sys.executable}" -c "{inner}"; exit 3')
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate()
    assert process.returncode != 0
    child = int((tmp_path / "pid").read_text())
    while True:  # the child is gone, or is about to be
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)


def test_missing_command(tmp_path):
    process = start(tmp_path / "hub", "no-such-command")
    _, messages = process.communicate()
    assert process.returncode == 127 and "no-such-command: No such file" in messages


def test_hf_home_can_be_elsewhere(tmp_path):
    program = "import os; print(os.environ['HF_HOME'])"
    options = ("--hf-home", str(tmp_path / "mine"))
    output, _ = start(tmp_path / "hub", *python(program), options=options).communicate()
    assert output.strip() == str(tmp_path / "mine")
