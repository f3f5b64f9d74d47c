"""SECURITY.md names only what exists: each file of the repository, each test within its file."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
QUOTED = re.findall(r"`([^`\n]+)`", (ROOT / "SECURITY.md").read_text("utf-8"))
TESTS = sorted({name for name in QUOTED if "::" in name})
FILES = sorted({name for name in QUOTED if re.fullmatch(r"[\w.-]+(/[\w.-]+)+|[\w-]+\.(py|md|txt|lock)", name)})
HAZARDS = re.findall(r"^\| (H\d+) \|(.*)\|$", (ROOT / "SECURITY.md").read_text("utf-8"), re.M)


def is_tracked(name):
    """A file that is in the repository, or a folder that has one."""
    return subprocess.run(["git", "ls-files", name], cwd=ROOT, capture_output=True, text=True, check=True).stdout != ""


@pytest.mark.parametrize("name", TESTS)
def test_each_test_exists(name):
    path, function = name.split("::")
    assert is_tracked(path)
    defined = [node.name for node in ast.parse((ROOT / path).read_text("utf-8")).body
               if isinstance(node, ast.FunctionDef)]
    assert function.startswith("test_") and function in defined


@pytest.mark.parametrize("name", FILES)
def test_each_file_exists(name):
    assert is_tracked(name)


def test_each_hazard_has_every_cell_and_names_a_file():
    assert [number for number, _ in HAZARDS] == [f"H{i}" for i in range(1, len(HAZARDS) + 1)] and len(HAZARDS) >= 18
    for number, row in HAZARDS:
        hazard, cause, mitigation, test, left = map(str.strip, row.split("|"))
        assert all((hazard, cause, left)), number
        assert any(f"`{name}`" in mitigation for name in FILES), number
        said = test.startswith("none") or "see tests/triage" in test
        assert said or any(f"`{name}`" in test for name in TESTS), number
