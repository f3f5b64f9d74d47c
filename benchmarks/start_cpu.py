"""How long a newcomer waits: page, first answer, --help. Caches warm, the published run of `make demo`.

    python -m localhub exec --root .kira/hub -- python -m benchmarks.start_cpu .kira/runs/embedded
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.row import write

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "python -m benchmarks.start_cpu"
REPEATS = 3


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started(environment: dict) -> tuple[float, float]:
    """(seconds to the page, seconds to the end of the first answer) since `python app.py` was called."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    begun = time.perf_counter()
    space = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=os.environ | environment | {"GRADIO_SERVER_PORT": str(port)})
    try:
        while True:
            try:
                urllib.request.urlopen(url, timeout=60).read()
                break
            except urllib.error.URLError:
                if space.poll() is not None:
                    raise SystemExit("python app.py ended; see what it says.") from None
                time.sleep(0.02)
        page = time.perf_counter() - begun
        asked = urllib.request.Request(f"{url}/gradio_api/call/v2/ask", headers={"Content-Type": "application/json"},
                                       data=json.dumps({"question": "What is arachnodactyly?"}).encode())
        event = json.load(urllib.request.urlopen(asked, timeout=60))["event_id"]
        said = urllib.request.urlopen(f"{url}/gradio_api/call/ask/{event}", timeout=120).read().decode()
        assert "event: complete" in said and '"answer"' in said, said[-500:]
        return page, time.perf_counter() - begun
    finally:
        space.terminate()
        space.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    space = (parser.parse_args().run / "space.env").read_text("utf-8")
    environment = dict(line.split("=", 1) for line in space.splitlines())
    started(environment)
    pages, answers = zip(*(started(environment) for _ in range(REPEATS)), strict=True)
    helps = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "train_space", "--help"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        helps.append(time.perf_counter() - begun)
    note = f"median of {REPEATS} since the command, caches warm"
    for name, times, target in (("page answers", pages, "at most 10"), ("first whole answer", answers, "at most 25"),
                                ("python -m train_space --help", helps, "under 0.5")):
        write("start_cpu", name, round(statistics.median(times), 2), "s", target=target, note=note, command=COMMAND)


if __name__ == "__main__":
    main()
