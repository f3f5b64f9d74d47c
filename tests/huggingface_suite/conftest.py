"""Fixtures that huggingface_hub's tests expect and its sdist lacks; copied beside them by run.py.

Before the set-up of every test, and before and after its body, the server is asked for a page named after it: so the
server's own log tells which requests belong to which test, from whatever thread or process they came.
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable

import pytest
from huggingface_hub import HfApi, RepoUrl, constants
from huggingface_hub.utils import _detect_agent

from .testing_constants import ENDPOINT_STAGING, TOKEN, USER
from .testing_utils import repo_name

RepoFactory = Callable[..., RepoUrl]
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def tell_server(word: str, test: str) -> None:
    try:
        direct.open(f"{ENDPOINT_STAGING}/__test__/{word}/{urllib.parse.quote(test, safe='')}")
    except urllib.error.HTTPError as answer:
        assert answer.code == 404


def pytest_configure(config):
    config.addinivalue_line("markers", "vcr: replays recorded answers of huggingface.co; not run here")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    tell_server("setup", item.nodeid)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item):
    tell_server("body", item.nodeid)
    try:
        return (yield)
    finally:
        tell_server("end", item.nodeid)


def pytest_runtest_logreport(report):
    with open(os.environ["SUITE_REPORT"], "a") as file:
        file.write(json.dumps({"test": report.nodeid, "when": report.when, "outcome": report.outcome}) + "\n")


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    for name in ("HF_HUB_CACHE", "HF_XET_CACHE", "HF_ASSETS_CACHE"):
        monkeypatch.setattr(constants, name, str(home / name.lower()))
    for name in ("HF_TOKEN_PATH", "HF_STORED_TOKENS_PATH"):
        monkeypatch.setattr(constants, name, str(home / name.lower()))
    monkeypatch.setattr(_detect_agent, "_registry", {"standardEnvVars": [], "harnesses": {}})


@pytest.fixture(scope="session")
def api() -> HfApi:
    return HfApi(endpoint=ENDPOINT_STAGING, token=TOKEN)


@pytest.fixture
def new_repo_id(api: HfApi):
    repo_id = f"{USER}/{repo_name()}"
    yield repo_id
    api.delete_repo(repo_id, missing_ok=True)


@pytest.fixture
def repo_factory(api: HfApi):
    created = []

    def create(repo_type: str = "model", repo_id: str | None = None, token: str | None = None, **options) -> RepoUrl:
        token = token or TOKEN
        url = api.create_repo(repo_id or repo_name(), repo_type=repo_type, token=token, **options)
        created.append((url.repo_id, repo_type, token))
        return url

    yield create
    for repo_id, repo_type, token in created:
        api.delete_repo(repo_id, repo_type=repo_type, token=token, missing_ok=True)


@pytest.fixture
def isolated_jedi_cache(monkeypatch, tmp_path):
    import jedi

    monkeypatch.setattr(jedi.settings, "cache_directory", str(tmp_path))
