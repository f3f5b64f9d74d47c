"""What a Space runs with, as the client library sets and reads it."""

import pytest
from hub import bearer
from huggingface_hub.errors import HfHubHTTPError


@pytest.fixture
def space(api, repo_id):
    return api.create_repo(repo_id, repo_type="space", space_sdk="gradio").repo_id


def test_hardware_is_asked_for_and_told(hub, api, space):
    assert api.get_space_runtime(space).stage == "NO_APP_FILE"
    asked = api.request_space_hardware(space, "zero-a10g", sleep_time=600)
    assert (asked.hardware, asked.requested_hardware, asked.sleep_time) == (None, "zero-a10g", 600)
    api.upload_file(path_or_fileobj=b"print()", path_in_repo="app.py", repo_id=space, repo_type="space")
    assert hub.api(False).get_space_runtime(space).stage == "STOPPED"  # here nothing runs
    assert api.space_info(space).runtime.requested_hardware == "zero-a10g"
    with pytest.raises(HfHubHTTPError, match="flavor must be one of"):
        api.request_space_hardware(space, "abacus")


def test_variables_are_read_back_and_secrets_never(hub, api, space):
    api.add_space_variable(space, "KIRA_ADAPTER_REPO", "kira/one", description="which")
    set_now = api.add_space_variable(space, "KIRA_ADAPTER_REPO", "kira/two")
    assert set_now["KIRA_ADAPTER_REPO"].value == "kira/two" and set_now["KIRA_ADAPTER_REPO"].updated_at
    api.add_space_secret(space, "HF_TOKEN", "canary-of-a-secret", description="for votes")
    secret = api.get_space_secrets(space)["HF_TOKEN"]
    assert secret.description == "for votes" and secret.updated_at
    assert "canary-of-a-secret" not in hub.http.get(f"/api/spaces/{space}/secrets", headers=bearer()).text
    assert not [p for p in hub.root.rglob("*") if p.is_file() and b"canary-of-a-secret" in p.read_bytes()]
    assert list(api.get_space_variables(space)) == ["KIRA_ADAPTER_REPO"]
    assert api.delete_space_variable(space, "KIRA_ADAPTER_REPO") == {}
    api.delete_space_secret(space, "HF_TOKEN")
    assert api.get_space_secrets(space) == {}


def test_a_space_can_be_created_with_all_of_it(api):
    made = api.create_repo("made-whole", repo_type="space", space_sdk="gradio", space_hardware="t4-small",
                           space_variables=[{"key": "A", "value": "1"}], space_secrets=[{"key": "B", "value": "2"}])
    assert api.get_space_runtime(made.repo_id).requested_hardware == "t4-small"
    assert api.get_space_variables(made.repo_id)["A"].value == "1" and "B" in api.get_space_secrets(made.repo_id)


@pytest.mark.parametrize("key, value", [("1A", "x"), ("A-B", "x"), ("", "x"), ("A", ""), ("A", None), (None, "x")])
def test_what_no_environment_takes_is_refused(hub, space, key, value):
    answer = hub.http.post(f"/api/spaces/{space}/variables", json={"key": key, "value": value}, headers=bearer())
    assert answer.status_code == 400


def test_only_the_owner_sets_and_lists_them(hub, api, space):
    for stranger in (hub.api("other-write"), hub.api("local-read"), hub.api(False)):
        for call in (lambda: stranger.add_space_secret(space, "A", "x"),  # noqa: B023 - called at once
                     lambda: stranger.get_space_variables(space),  # noqa: B023
                     lambda: stranger.request_space_hardware(space, "t4-small")):  # noqa: B023
            with pytest.raises(HfHubHTTPError):
                call()
    assert api.get_space_secrets(space) == {}


def test_models_have_none(hub, api, repo_id):
    for verb in ("runtime", "secrets", "variables"):
        assert hub.http.get(f"/api/models/{repo_id}/{verb}", headers=bearer()).status_code == 404
