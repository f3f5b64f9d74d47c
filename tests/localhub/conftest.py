import itertools
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

sys.path.insert(0, str(Path(__file__).parent))  # for `import hub`: tests are not a package
from hub import Hub  # noqa: E402

numbers = itertools.count(1)


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    with Hub(tmp_path_factory.mktemp("localhub") / "hub") as running:
        yield running


@pytest.fixture(autouse=True, scope="module")
def no_xet():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def api(hub):
    return hub.api()


@pytest.fixture
def repo_id(api):
    """A new repo for this test alone."""
    return api.create_repo(f"repo-{next(numbers)}").repo_id
