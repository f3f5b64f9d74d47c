"""Downloads: by every kind of revision, in parts, again, and of what is not there."""

import hashlib
import os

import pytest
from huggingface_hub import CommitOperationAdd, HfFileSystem
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError


@pytest.fixture(scope="module")
def two_versions(hub):
    """A repo with a small and a large file, tagged v1, changed since."""
    api = hub.api()
    repo_id = api.create_repo("versions").repo_id

    def add(path, data):
        return CommitOperationAdd(path_in_repo=path, path_or_fileobj=data)

    large = os.urandom(100_000)
    api.create_commit(repo_id, [add("a.txt", b"old"), add("w.bin", large)], commit_message="one")
    api.create_tag(repo_id, tag="v1")
    new = api.create_commit(repo_id, [add("a.txt", b"new")], commit_message="two")
    return repo_id, large, new.oid


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def test_every_kind_of_revision(hub, two_versions):
    repo_id, _, new = two_versions
    api = hub.api()
    old = api.model_info(repo_id, revision="v1").sha
    for revision, text in {"v1": b"old", old: b"old", old[:7]: b"old", "main": b"new", new: b"new",
                           "refs/heads/main": b"new", None: b"new"}.items():
        assert read(api.hf_hub_download(repo_id, "a.txt", revision=revision)) == text
    assert hub.http.get(f"/{repo_id}/resolve/v1/a.txt").headers["x-repo-commit"] == old


def test_headers(hub, two_versions):
    repo_id, large, new = two_versions
    head = hub.http.head(f"/{repo_id}/resolve/main/w.bin")
    sha256 = hashlib.sha256(large).hexdigest()
    assert head.content == b"" and head.headers["content-length"] == "100000"
    assert head.headers["etag"] == head.headers["x-linked-etag"] == f'"{sha256}"'
    assert head.headers["x-linked-size"] == "100000" and head.headers["x-repo-commit"] == new
    small = hub.http.head(f"/{repo_id}/resolve/main/a.txt")
    assert small.headers["etag"] == f'"{hashlib.sha1(b"blob 3" + bytes(1) + b"new").hexdigest()}"'
    assert "x-linked-etag" not in small.headers


def test_ranges(hub, two_versions):
    repo_id, large, _ = two_versions
    url = f"/{repo_id}/resolve/main/w.bin"
    for asked, start, end in (("10-19", 10, 20), ("99990-", 99990, 100_000), ("-5", 99_995, 100_000)):
        answer = hub.http.get(url, headers={"Range": f"bytes={asked}"})
        assert answer.status_code == 206 and answer.content == large[start:end]
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/100000"
    assert hub.http.get(url, headers={"Range": "bytes=100000-"}).status_code == 416


def test_second_snapshot_has_no_body(hub, two_versions):
    repo_id, _, new = two_versions
    api = hub.api()
    first = api.snapshot_download(repo_id)
    start = len(hub.requests())
    assert api.snapshot_download(repo_id) == first
    again = hub.requests(start)
    assert [r["path"] for r in again] == [f"/api/models/{repo_id}/revision/main"]
    assert api.snapshot_download(repo_id, revision=new) == first
    assert len(hub.requests(start)) == 1  # a pinned commit needs no request at all


def test_what_is_not_there(hub, two_versions):
    repo_id, _, new = two_versions
    api = hub.api()
    with pytest.raises(RepositoryNotFoundError):
        api.hf_hub_download("kira/none", "a.txt")
    with pytest.raises(RepositoryNotFoundError):
        api.hf_hub_download("none", "a.txt")
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download(repo_id, "a.txt", revision="none")
    with pytest.raises(EntryNotFoundError) as failure:
        api.hf_hub_download(repo_id, "none.txt")
    assert failure.value.response.headers["x-repo-commit"] == new
    assert api.file_exists(repo_id, "a.txt") and not api.file_exists(repo_id, "none.txt")
    assert api.revision_exists(repo_id, "v1") and not api.revision_exists(repo_id, "v2")


def test_file_system(hub, two_versions):
    repo_id, large, _ = two_versions
    files = HfFileSystem(endpoint=hub.endpoint, token="local-write")
    listed = files.ls(repo_id, detail=False)
    assert {path.removeprefix(f"{repo_id}/") for path in listed} == {".gitattributes", "a.txt", "w.bin"}
    assert files.read_text(f"{repo_id}@v1/a.txt") == "old"
    with files.open(f"{repo_id}/w.bin") as file:
        file.seek(50_000)
        assert file.read(10) == large[50_000:50_010]
    files.write_text(f"{repo_id}/written.txt", "by file system")
    assert files.glob(f"{repo_id}/*.txt") == [f"{repo_id}/a.txt", f"{repo_id}/written.txt"]
