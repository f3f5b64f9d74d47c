"""One measured figure as one JSON line: what, beside which peer, above which floor, on what, when."""

import json
import os
import platform
import time
from pathlib import Path

from train_space.stages import hardware, versions

RESULTS = Path(__file__).resolve().parent.parent / "results" / "benchmarks"


def write(file: str, name: str, value: float, unit: str, *, peer: str = "", peer_value: float | None = None,
          floor: float | None = None, target: str = "", note: str = "", command: str = "") -> dict:
    """Prints the row and puts it in place of the one of that name in `file` (results/benchmarks/FILE.jsonl).

    `ratio` is how many times better than the peer: peer / value for seconds and milliseconds, else value / peer.
    KIRA_BENCHMARKS names another folder.
    """
    ratio = None
    if peer_value:
        ratio = round(peer_value / value if unit in ("s", "ms", "MB", "nats") else value / peer_value, 2)
    found = hardware()
    row = {"name": name, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value, "ratio": ratio,
           "floor": floor, "target": target, "note": note, "command": command,
           "machine": (found.get("gpu") or [f"{found['cpu']}, {found['cores']} cores, {platform.system()}"])[0],
           "date": time.strftime("%Y-%m-%d"), "versions": versions()}
    path = Path(os.environ.get("KIRA_BENCHMARKS") or RESULTS) / f"{file}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []
    rows = [r for r in rows if r["name"] != name] + [row]
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    shown = ("name", "value", "unit", "peer_value", "ratio", "floor", "note")
    print(json.dumps({k: row[k] for k in shown}), flush=True)
    return row
