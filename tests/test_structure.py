"""The shape of the code: imports run one way, files stay small."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"app", "kira", "train_space", "localhub"}
ALLOWED = {"app": {"kira"}, "kira": {"kira"}, "train_space": {"kira", "train_space"}, "localhub": {"localhub"}}
ORDER = ["recipe", "sources", "prepare"]  # within train_space: each may import only what stands before it


def sources():
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split()]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_run_one_way():
    seen = 0
    for path in sources():
        package = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if package not in PACKAGES:
            continue
        seen += 1
        for name in imported(path):
            top = name.split(".")[0]
            assert top not in PACKAGES or top in ALLOWED[package], f"{path.relative_to(ROOT)} imports {name}"
    assert seen > 10


@pytest.mark.parametrize("later", range(1, len(ORDER)))
def test_stages_of_data_import_backwards_only(later):
    names = set(imported(ROOT / "train_space" / f"{ORDER[later - 1]}.py"))
    assert not names & {f"train_space.{stage}" for stage in ORDER[later:]}


def test_files_stay_small():
    long = {str(p.relative_to(ROOT)): n for p in sources() if (n := len(p.read_text("utf-8").splitlines())) > 300}
    assert not long
