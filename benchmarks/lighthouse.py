"""What Google's Lighthouse says of the page, and of a page of Gradio's with nothing on it, which is Gradio's own share.

    python -m benchmarks.lighthouse URL         (a running Space; wants node, npm and Debian's chromium)

Desktop preset, three visits each in turn; the median of each score, into results/lighthouse.json.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from train_space.files import write_json
from train_space.stages import hardware

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results" / "lighthouse.json"
LIGHTHOUSE, VISITS = "12.8.2", 3  # the last line that runs on Node 20
SCORES = ("performance", "accessibility", "best-practices")
TIMES = ("first-contentful-paint", "largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift",
         "speed-index")
EMPTY = """import gradio
with gradio.Blocks(analytics_enabled=False) as demo:
    pass
demo.launch(ssr_mode=False, quiet=True)"""


def visit(url: str) -> dict:
    """One visit's scores (0 to 100), times (ms; the shift has no unit), and the audits that cost points."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        subprocess.run(["npx", "--yes", f"lighthouse@{LIGHTHOUSE}", url, "--preset=desktop", "--quiet", "--output=json",
                        f"--output-path={path}", f"--only-categories={','.join(SCORES)}",
                        "--chrome-flags=--headless=new --no-sandbox --disable-background-networking"],
                       check=True, env=os.environ | {"CHROME_PATH": "/usr/bin/chromium"}, timeout=300)
        report = json.loads(path.read_text("utf-8"))
    audits = report["audits"]
    weighed = {part["id"] for name in SCORES for part in report["categories"][name]["auditRefs"] if part["weight"]}
    return {**{name: round(100 * report["categories"][name]["score"]) for name in SCORES},
            **{name: round(audits[name]["numericValue"], 3) for name in TIMES},
            "bytes": audits["total-byte-weight"]["numericValue"],
            "missed": sorted(name for name in weighed if (audits[name]["score"] or 0) < 0.9
                             and audits[name]["scoreDisplayMode"] not in ("notApplicable", "informative", "manual"))}


def empty_page() -> tuple[subprocess.Popen, str]:
    """A Gradio server with nothing on its page, and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", EMPTY], env=os.environ | {"GRADIO_SERVER_PORT": str(port)})
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.5)


def middle(visits: list[dict]) -> dict:
    """The median of each figure, and what any visit missed."""
    return {name: sorted({each for one in visits for each in one[name]}) if name == "missed"
            else median(one[name] for one in visits) for name in visits[0]}


def main(url: str) -> int:
    """Measures both pages in turn, prints the scores and keeps them."""
    process, empty = empty_page()
    try:
        visits = [(visit(url), visit(empty)) for _ in range(VISITS)]
    finally:
        process.terminate()
        process.wait(10)
    pages = {"kira": middle([one for one, _ in visits]), "gradio alone": middle([other for _, other in visits])}
    write_json(RESULTS, {"command": "python -m benchmarks.lighthouse", "lighthouse": LIGHTHOUSE, "preset": "desktop",
                         "visits": VISITS, "date": time.strftime("%Y-%m-%d"), "hardware": hardware(), "pages": pages})
    for page, found in pages.items():
        print(page, {name: found[name] for name in (*SCORES, "missed")})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
