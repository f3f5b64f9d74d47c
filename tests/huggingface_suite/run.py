"""Runs huggingface_hub's own tests against localhub and counts those that passed after talking to it.

    python tests/huggingface_suite/run.py

Exit status 1 when fewer than MINIMUM passing tests made a request that the server logged, when a test fails that
expected_failures.txt does not list, or when a listed one passes.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.parse
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
WORK = CHECKOUT / ".kira" / "huggingface_suite"
VERSION = "2.4.0"
MINIMUM = 260
PACKAGES = ["pytest-mock", "pytest-asyncio", "jedi", "parso"]
STAGING = "https://hub-ci.huggingface.co"
# The files with tests that talk to a Hub; the others test the client alone, or buckets, jobs and inference services.
SELECTION = [
    "tests/test_cache_layout.py", "tests/test_cli_discussions.py", "tests/test_commit_scheduler.py",
    "tests/test_file_download.py", "tests/test_hf_api.py", "tests/test_hf_file_system.py", "tests/test_hub_mixin.py",
    "tests/test_hub_mixin_pytorch.py", "tests/test_repocard.py", "tests/test_snapshot_download.py",
    "tests/test_utils_http.py::TestUniqueRequestId", "tests/test_utils_http.py::test_flag_as_download_call_decorator",
    "tests/test_kernels.py::test_create_kernel", "tests/test_kernels.py::test_upload_to_kernel",
    "tests/test_cli.py::TestRepoListCommand", "tests/test_cli.py::TestJsonShorthand",
    "tests/test_cli.py::TestRepoTypePrefix", "tests/test_init_lazy_loading.py",
]
SEVERITY = ["passed", "skipped", "failed"]
# production: wants huggingface.co itself; vcr: replays its recorded answers; xet, git_lfs: other protocols.
DESELECTED = "not production and not xet and not git_lfs and not vcr"

sys.path.insert(0, str(CHECKOUT))
from localhub.environment import client_environment  # noqa: E402  (the checkout is not installed)


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments], check=True)


def fetch() -> Path:
    """The unpacked sdist of the very client that is installed."""
    import huggingface_hub

    if huggingface_hub.__version__ != VERSION:
        sys.exit(f"huggingface_hub {huggingface_hub.__version__} is installed, but the suite is that of {VERSION}")
    WORK.mkdir(parents=True, exist_ok=True)
    archive = WORK / f"huggingface_hub-{VERSION}.tar.gz"
    if not archive.exists():
        pip("download", "--no-deps", "--no-binary", ":all:", "--dest", str(WORK), f"huggingface_hub=={VERSION}")
    if not (WORK / "packages").exists():
        pip("install", "--no-deps", "--target", str(WORK / "packages.part"), *PACKAGES)
        (WORK / "packages.part").rename(WORK / "packages")
    suite = WORK / archive.name.removesuffix(".tar.gz")
    shutil.rmtree(suite, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(WORK, filter="data")
    return suite


def adapt(suite: Path, endpoint: str) -> None:
    """Turns the tests from their staging server to ours, and from the packed sources to the installed client."""
    shutil.rmtree(suite / "src")
    (suite / "tests" / "__init__.py").touch()
    shutil.copy(HERE / "conftest.py", suite / "tests")
    for name in ("testing_constants.py", "test_hf_api.py", "test_kernels.py"):
        path = suite / "tests" / name
        path.write_text(path.read_text("utf-8").replace(STAGING, endpoint), "utf-8")
    project = suite / "pyproject.toml"
    kept = [line for line in project.read_text("utf-8").splitlines() if "HUGGINGFACE_CO_STAGING" not in line]
    project.write_text("\n".join(kept), "utf-8")


def start_hub(suite: Path) -> tuple[subprocess.Popen, str, Path]:
    """A fresh Hub with the users that the suite knows."""
    constants: dict = {}
    exec((suite / "tests" / "testing_constants.py").read_text("utf-8"), constants)  # noqa: S102
    root, log = WORK / "hub", WORK / "requests.jsonl"
    shutil.rmtree(root, ignore_errors=True)
    log.unlink(missing_ok=True)
    root.mkdir(parents=True)
    users = {"": ["valid_org_hub"], "OTHER_": [], "ENTERPRISE_": [constants["ENTERPRISE_ORG"]]}
    names = {constants["USER"]: constants["FULL_NAME"], "valid_org_hub": "Dummy Hub Org"}
    tokens = {
        constants[f"{prefix}TOKEN"]: {"user": constants[f"{prefix}USER"], "role": "write", "orgs": orgs, "names": names}
        for prefix, orgs in users.items()
    }
    (root / "tokens.json").write_text(json.dumps(tokens))
    command = [sys.executable, "-m", "localhub", "--root", str(root), "--port", "0", "--log", str(log)]
    server = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    return server, server.stdout.readline().split()[1], log


def run_tests(suite: Path, endpoint: str, selection: list[str]) -> Path:
    report = WORK / "report.jsonl"
    report.unlink(missing_ok=True)
    environment = {
        **os.environ,
        **client_environment(endpoint, WORK / "hub", token=""),
        "SUITE_REPORT": str(report),
        "PYTHONPATH": str(WORK / "packages"),
        "PYTHONWARNINGS": "",
    }
    with (WORK / "pytest.log").open("w") as output:
        subprocess.run(
            [sys.executable, "-m", "pytest", "-o", "addopts=--strict-markers -q -Werror::FutureWarning",
             "-p", "no:cacheprovider", "--timeout", "120", "-m", DESELECTED, *(selection or SELECTION)],
            cwd=suite, env=environment, stdout=output, stderr=subprocess.STDOUT,
        )
    return report


def outcomes(report: Path) -> dict[str, str]:
    """Each test with the worst outcome among its set-up, body and tear-down."""
    found: dict[str, str] = {}
    for line in report.read_text().splitlines():
        entry = json.loads(line)
        found[entry["test"]] = max(found.get(entry["test"], "passed"), entry["outcome"], key=SEVERITY.index)
    return found


def requests_of_tests(log: Path) -> dict[str, dict[str, int]]:
    """How many requests the server saw while each test was set up, and while its body ran."""
    current, counts = None, {"setup": {}, "body": {}}
    for line in log.read_text().splitlines():
        path = json.loads(line)["path"]
        if path.startswith("/__test__/"):
            word, test = path.removeprefix("/__test__/").split("/")
            current = (word, urllib.parse.unquote(test)) if word in counts else None
        elif current:
            word, test = current
            counts[word][test] = counts[word].get(test, 0) + 1
    return counts


def expected_failures() -> dict[str, str]:
    lines = [line.strip() for line in (HERE / "expected_failures.txt").read_text("utf-8").splitlines()]
    return dict(line.split("  # ", 1) for line in lines if line and not line.startswith("#"))


def judge(found: dict[str, str], requests: dict[str, dict[str, int]]) -> int:
    expected = expected_failures()
    passed, skipped, failed = ({test for test in found if found[test] == word} for word in SEVERITY)
    in_body = passed & requests["body"].keys()
    talked = in_body | (passed & requests["setup"].keys())
    wrong = {"failed": failed - expected.keys(), "passes now, unlist it": passed & expected.keys(),
             "listed but not run": expected.keys() - found.keys()}
    for title, tests in wrong.items():
        for test in sorted(tests):
            print(f"{title}: {test}")
    total = sum(requests[word].get(test, 0) for word in requests for test in talked)
    known = len(failed & expected.keys())
    print(f"{len(passed)} passed, {len(failed)} failed ({known} expected), {len(skipped)} skipped")
    print(f"{len(talked)} passing tests made {total} requests that the server logged, {len(in_body)} of them in their "
          f"body and the others while set up; at least {MINIMUM} wanted")
    return int(any(wrong.values()) or len(talked) < MINIMUM)


def main(selection: list[str]) -> int:
    suite = fetch()
    server, endpoint, log = start_hub(suite)
    try:
        adapt(suite, endpoint)
        report = run_tests(suite, endpoint, selection)
    finally:
        server.terminate()
        server.wait()
    return judge(outcomes(report), requests_of_tests(log))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
