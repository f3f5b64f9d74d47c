"""What is fetched is fetched at a commit, nothing fetched can run code, and no secret stands in the repository."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FETCHES = {"from_pretrained", "hf_hub_download", "snapshot_download", "load_dataset", "model_info", "dataset_info",
           "repo_info", "list_repo_files", "load_adapter", "resolve_revision"}
RESOLVES = {"resolve_revision", "repo_info"}  # they are what turns a name into a commit
LOCAL = {"base", "adapter", "folder", "adapters or [base]", "(adapters or [base])[0].folder", "model"}


def served():
    return [ROOT / "app.py", *sorted((ROOT / "kira").glob("*.py"))]


def calls(tree, names):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            passed = [a.attr for a in node.args if isinstance(a, ast.Attribute) and a.attr in names]  # map(f, ...)
            for found in ({name} | set(passed)) & names:
                yield found, node


def test_every_fetch_of_the_space_names_a_commit():
    """Where a function of the Hub's is called, `revision` is passed; where a folder is read, it is one that was fetched
    so. At the Hub itself this is seen by test_loading.py: what a branch stands for is asked once."""
    seen = []
    for path in served():
        for name, call in calls(ast.parse(path.read_text("utf-8")), FETCHES):
            revision = next((ast.unparse(k.value) for k in call.keywords if k.arg == "revision"), None)
            first = ast.unparse(call.args[-1] if name in map(ast.unparse, call.args) else call.args[0])
            if ast.unparse(call).startswith("map("):
                first = ast.unparse(call.args[1])
            where = f"{path.name}:{call.lineno} {name}({first}, revision={revision})"
            seen.append(where)
            assert revision or first in LOCAL, where
            if name not in RESOLVES and revision:
                assert revision in ("commit", "dataset['revision']"), where
    assert len(seen) >= 6, seen


def tracked(*patterns):
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split()]


def test_no_commit_is_written_into_code():
    assert not [f"{p.name}: {found}" for p in tracked("*.py", "*.yaml", "*.toml") for found in
                re.findall(r"\b[0-9a-f]{40}\b", p.read_text("utf-8")) if set(found) != {"0"}]


def test_nothing_that_is_fetched_can_run_code():
    for path in [*served(), *tracked("train_space/*.py")]:
        tree = ast.parse(path.read_text("utf-8"))
        for _, call in calls(tree, {"from_pretrained", "load_dataset"}):
            assert "trust_remote_code" not in ast.unparse(call), path
        names = {n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names}
        names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not names & {"pickle", "cloudpickle", "dill", "marshal", "shelve"}, path
        for _, call in calls(tree, {"load"}):
            assert ast.unparse(call.func) != "torch.load", path
    weights = [ast.unparse(call) for path in served() for _, call in calls(ast.parse(path.read_text()),
                                                                           {"from_pretrained"})]
    assert [call for call in weights if "CausalLM" in call] and all(
        "use_safetensors=True" in call for call in weights if "CausalLM" in call)


def test_no_secret_is_in_the_repository():
    """detect-secrets' own detectors of keys and tokens, over every tracked file but rows of texts and the tokenizer
    (a minute more), and the Hub's form of a token over those too. Random strings, addresses and words are none; the
    local Hub's tokens are public."""
    program = """
import sys
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings
names = "HexHighEntropyString Base64HighEntropyString KeywordDetector BasicAuthDetector IPPublicDetector".split()
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class as all_plugins
plugins = [{"name": c.__name__} for c in all_plugins().values() if c.__name__ not in names]
with transient_settings({"plugins_used": plugins, "filters_used": []}):
    for path in sys.argv[1:]:
        for found in scan_file(path):
            print(found.type, path, found.line_number)
"""
    files = [str(p) for p in tracked() if p.suffix not in (".png", ".parquet", ".safetensors")]
    written = [name for name in files if not name.endswith((".jsonl", "/tokenizer.json"))]
    done = subprocess.run([sys.executable, "-c", program, *written], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    assert done.stdout == "" and len(written) > 100
    assert not [str(p) for p in map(Path, files) if re.search(rb"\bhf_[A-Za-z]{16}", p.read_bytes())]


@pytest.fixture(scope="module")
def locked():
    """Names and versions in requirements.lock; each line of it is one or a hash."""
    found = {}
    for line in (ROOT / "requirements.lock").read_text("utf-8").splitlines():
        package = re.fullmatch(r"([a-z0-9._-]+)==(\S+) \\", line)
        assert package or re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
        if package:
            found[package[1]] = package[2]
    return found


def test_the_lock_holds_what_the_space_requires(locked):
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = [line for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines() if line[:1] not in "#"]
    assert len(lines) > 8
    for wanted in map(Requirement, lines):
        assert locked[canonicalize_name(wanted.name)] in wanted.specifier, wanted


@pytest.mark.slow
def test_what_the_space_requires_resolves_for_its_python(tmp_path):
    """Nothing is installed; the package index is asked."""
    done = subprocess.run([sys.executable, "-m", "uv", "pip", "compile", "-q", "--python-version", "3.12",
                           "--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:", "requirements.txt",
                           "-o", tmp_path / "resolved.txt"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "torch==2.11.0" in (tmp_path / "resolved.txt").read_text().splitlines()
