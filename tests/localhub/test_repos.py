"""Repos as things: made, found, renamed, hidden, removed; and who may do so."""

import httpx2
import pytest
from hub import bearer, text_of
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError


def status(failure) -> int:
    return failure.value.response.status_code


def test_whoami(hub):
    assert hub.api().whoami()["name"] == "kira"
    assert [org["name"] for org in hub.api().whoami()["orgs"]] == ["embedded"]
    assert hub.api("local-read").whoami()["auth"]["accessToken"]["role"] == "read"


def test_create_and_create_again(api):
    url = api.create_repo("twice")
    assert url.repo_id == "kira/twice" and url.repo_type in (None, "model")
    assert api.create_repo("kira/twice", exist_ok=True).repo_id == "kira/twice"
    with pytest.raises(HfHubHTTPError, match="already created") as failure:
        api.create_repo("twice")
    assert status(failure) == 409
    assert [commit.title for commit in api.list_repo_commits("kira/twice")] == ["initial commit"]


@pytest.mark.parametrize("repo_type", ["model", "dataset", "space"])
def test_types_and_orgs(api, hub, repo_type):
    options = {"space_sdk": "gradio"} if repo_type == "space" else {}
    url = api.create_repo("embedded/thing", repo_type=repo_type, **options)
    assert url.repo_id == "embedded/thing"
    assert api.repo_info("embedded/thing", repo_type=repo_type).id == "embedded/thing"
    assert api.repo_exists("embedded/thing", repo_type=repo_type)
    page = hub.http.get(url.removeprefix(hub.endpoint))
    assert page.status_code == 200 and "embedded/thing" in page.text


def test_delete(api, repo_id):
    api.delete_repo(repo_id)
    assert not api.repo_exists(repo_id)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(repo_id)
    api.delete_repo(repo_id, missing_ok=True)
    api.create_repo(repo_id)
    assert len(api.list_repo_commits(repo_id)) == 1


def test_rename(api, hub, repo_id):
    api.upload_file(path_or_fileobj=b"text", path_in_repo="a.txt", repo_id=repo_id)
    new_id = f"embedded/{repo_id.split('/')[1]}-renamed"
    api.move_repo(repo_id, new_id)
    assert api.model_info(new_id).id == new_id
    assert api.model_info(repo_id).id == new_id  # the old id leads to the new one
    assert text_of(api.hf_hub_download(repo_id, "a.txt")) == "text"
    assert hub.http.get(f"/{repo_id}").headers["location"] == f"/{new_id}"
    api.create_repo(repo_id)  # and becomes free
    assert api.model_info(repo_id).id == repo_id
    with pytest.raises(HfHubHTTPError, match="already exists"):
        api.move_repo(repo_id, new_id)


def test_ids_without_regard_to_case(api, repo_id):
    assert api.model_info(repo_id.upper()).id == repo_id
    with pytest.raises(HfHubHTTPError) as failure:
        api.create_repo(repo_id.upper())
    assert status(failure) == 409


@pytest.mark.parametrize("name", ["a--b", "..", ".hidden", "x.git", "a" * 97, "white space", "a/b/c", "tab\t", "-a"])
def test_bad_names(hub, name):
    answer = hub.http.post("/api/repos/create", json={"name": name, "organization": None}, headers=bearer())
    assert answer.status_code == 400 and "Invalid repo name" in answer.json()["error"]


def test_reader_may_not_write(hub, repo_id):
    reader = hub.api("local-read")
    reader.model_info(repo_id)
    for write in (
        lambda: reader.create_repo("mine"),
        lambda: reader.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo_id),
        lambda: reader.create_branch(repo_id, branch="b"),
        lambda: reader.create_tag(repo_id, tag="t"),
        lambda: reader.update_repo_settings(repo_id, private=True),
        lambda: reader.delete_repo(repo_id),
    ):
        with pytest.raises(HfHubHTTPError, match="may only read") as failure:
            write()
        assert status(failure) == 403


def test_others_may_not_write_here(hub, repo_id):
    other = hub.api("other-write")
    with pytest.raises(HfHubHTTPError, match="other may not write in the namespace kira") as failure:
        other.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo_id)
    assert status(failure) == 403
    with pytest.raises(HfHubHTTPError) as failure:
        other.move_repo(repo_id, "other/stolen")
    assert status(failure) == 403


def test_tokens(hub, repo_id):
    path = f"/api/models/{repo_id}"
    assert hub.http.get(path).status_code == 200
    assert hub.http.get(path, headers=bearer("unknown")).status_code == 401
    assert hub.http.get("/api/whoami-v2").status_code == 401
    body = {"name": "nobody", "organization": None}
    assert hub.http.post("/api/repos/create", json=body).status_code == 401
    assert hub.http.post("/api/repos/create", json=body, headers=bearer("unknown")).status_code == 401
    assert hub.http.post(f"{path}/commit/main", content=b"").status_code == 401


def test_private(hub, api, repo_id, tmp_path):
    api.upload_file(path_or_fileobj=b"secret", path_in_repo="a.txt", repo_id=repo_id)
    api.update_repo_settings(repo_id, private=True)
    assert api.model_info(repo_id).private and text_of(api.hf_hub_download(repo_id, "a.txt")) == "secret"
    for stranger in (hub.api(False), hub.api("other-write"), hub.api("local-read")):
        with pytest.raises(RepositoryNotFoundError):
            stranger.model_info(repo_id)
        with pytest.raises(RepositoryNotFoundError):
            stranger.hf_hub_download(repo_id, "a.txt", cache_dir=tmp_path / "strangers")
        assert repo_id not in [info.id for info in stranger.list_models()]
    assert repo_id in [info.id for info in api.list_models(author="kira")]
    assert hub.http.get(f"/{repo_id}").status_code == 404
    assert repo_id not in hub.http.get("/").text


def test_gated(hub, api, repo_id, tmp_path):
    api.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id=repo_id)
    api.update_repo_settings(repo_id, gated="manual")
    assert hub.api(False).model_info(repo_id).gated == "manual"
    with pytest.raises(GatedRepoError):
        hub.api("local-read").hf_hub_download(repo_id, "a.txt")
    with pytest.raises(GatedRepoError):
        hub.api("local-read").auth_check(repo_id)
    api.auth_check(repo_id)
    api.hf_hub_download(repo_id, "a.txt")
    api.grant_access(repo_id, "reader")
    assert [request.username for request in api.list_accepted_access_requests(repo_id)] == ["reader"]
    hub.api("local-read").hf_hub_download(repo_id, "a.txt", cache_dir=tmp_path)
    api.reject_access_request(repo_id, "reader", rejection_reason="no longer")
    with pytest.raises(GatedRepoError):
        hub.api("local-read").auth_check(repo_id)
    with pytest.raises(HfHubHTTPError) as failure:
        hub.api("other-write").grant_access(repo_id, "other")
    assert status(failure) == 403


def test_list(hub, api):
    for name in ("listed-a", "listed-b"):
        api.create_repo(f"embedded/{name}", repo_type="dataset")
    api.upload_file(path_or_fileobj=b"---\ntags: [medical]\n---\n", path_in_repo="README.md",
                    repo_id="embedded/listed-a", repo_type="dataset")
    ids = [info.id for info in api.list_datasets(author="embedded", search="listed")]
    assert ids == ["embedded/listed-a", "embedded/listed-b"]  # the newest change first
    assert [info.id for info in api.list_datasets(filter="medical")] == ["embedded/listed-a"]
    assert len(list(api.list_datasets(author="embedded", limit=1))) == 1


def test_what_is_not_built_says_so(api):
    repo_id = api.create_repo("runs", repo_type="space", space_sdk="static").repo_id
    for call in (
        lambda: api.create_collection("title"),
        lambda: api.list_webhooks(),
        lambda: api.pause_space(repo_id),
        lambda: list(api.list_lfs_files(repo_id, repo_type="space")),
    ):
        with pytest.raises(HfHubHTTPError, match="This local Hub has no") as failure:
            call()
        assert status(failure) == 501


def test_xet_says_what_to_do(hub, repo_id):
    answer = hub.http.get(f"/api/models/{repo_id}/xet-write-token/main", headers=bearer())
    assert "HF_HUB_DISABLE_XET=1" in answer.json()["error"]


def test_only_this_computer_may_connect(hub):
    listening = hub.endpoint.removeprefix("http://").split(":")[0]
    assert listening == "127.0.0.1"
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(hub.endpoint.replace("127.0.0.1", "127.0.0.2"), trust_env=False)
