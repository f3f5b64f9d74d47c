"""Uploads and commits through the real client, small and large, and what is seen of them afterwards."""

import os

import pytest
from hub import bearer, commit_body, text_of
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RevisionNotFoundError

LARGE_BYTES = 33 << 20  # over the size from which uploads come in parts


def add(path: str, data: bytes) -> CommitOperationAdd:
    return CommitOperationAdd(path_in_repo=path, path_or_fileobj=data)


def commit(api, repo_id, *operations, **options):
    return api.create_commit(repo_id, operations, commit_message=options.pop("message", "change"), **options)


def test_folder_of_small_and_large_files(hub, api, repo_id, tmp_path):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    contents = {"README.md": b"# hello\n", "sub/model.safetensors": os.urandom(1 << 20), "empty.bin": b"",
                "in-parts.bin": os.urandom(LARGE_BYTES), "awful?name#50%.txt": b"x"}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    start = len(hub.requests())
    done = api.upload_folder(repo_id=repo_id, folder_path=folder)
    puts = [r for r in hub.requests(start) if r["method"] == "PUT"]
    assert sum("part=" in r["query"] for r in puts) == 3 and len(puts) == 4
    assert api.model_info(repo_id).sha == done.oid
    for name, data in contents.items():
        with open(api.hf_hub_download(repo_id, name), "rb") as file:
            assert file.read() == data, name
    large = {s.rfilename: s.lfs is not None for s in api.model_info(repo_id, files_metadata=True).siblings}
    assert {name for name in large if large[name]} == {"sub/model.safetensors", "in-parts.bin"}
    assert api.upload_folder(repo_id=repo_id, folder_path=folder).oid == done.oid  # nothing changed, no commit


def test_parent_commit(api, repo_id):
    first = commit(api, repo_id, add("a", b"1"))
    second = commit(api, repo_id, add("a", b"2"), parent_commit=first.oid)
    with pytest.raises(HfHubHTTPError, match="The branch was updated") as failure:
        commit(api, repo_id, add("a", b"3"), parent_commit=first.oid)
    assert failure.value.response.status_code == 412
    assert api.model_info(repo_id).sha == second.oid


def test_delete_and_copy(api, repo_id):
    commit(api, repo_id, add("a/1.txt", b"one"), add("a/2.txt", b"two"), add("b.bin", b"large"), add("c.txt", b"c"))
    commit(api, repo_id, CommitOperationCopy("b.bin", "copy.bin"), CommitOperationCopy("c.txt", "copy.txt"),
           CommitOperationDelete("c.txt"), CommitOperationDelete("a/"))
    assert set(api.list_repo_files(repo_id)) == {".gitattributes", "b.bin", "copy.bin", "copy.txt"}
    assert text_of(api.hf_hub_download(repo_id, "copy.bin")) == "large"
    api.delete_files(repo_id, ["copy.*"])
    assert set(api.list_repo_files(repo_id)) == {".gitattributes", "b.bin"}
    with pytest.raises(HfHubHTTPError, match="cannot be deleted"):
        commit(api, repo_id, CommitOperationDelete("missing.txt"))


def test_a_refused_commit_changes_nothing(hub, api, repo_id):
    before = api.model_info(repo_id).sha
    good = ("file", {"path": "good.txt", "content": "eA==", "encoding": "base64"})
    for bad in (
        ("file", {"path": "../up.txt", "content": "eA==", "encoding": "base64"}),
        ("file", {"path": "x.txt", "content": "not base64!", "encoding": "base64"}),
        ("lfsFile", {"path": "x.bin", "algo": "sha256", "oid": "0" * 64, "size": 3}),
        ("lfsFile", {"path": "x.bin", "algo": "sha256", "oid": "../../tokens.json", "size": 3}),
        ("deletedFile", {"path": "missing"}),
        ("file", {"path": "good.txt/below", "content": "eA==", "encoding": "base64"}),
        ("file", {"path": "README.md", "content": "LS0tCmxpY2Vuc2U6IG5vbmUtc3VjaAotLS0K", "encoding": "base64"}),
        ("unheard-of", {"path": "x"}),
    ):
        answer = hub.http.post(f"/api/models/{repo_id}/commit/main", content=commit_body(good, bad), headers=bearer())
        assert answer.status_code in (400, 422), (bad, answer.text)
    assert api.model_info(repo_id).sha == before


def test_branches_and_tags(api, repo_id):
    first = commit(api, repo_id, add("a", b"1"))
    api.create_branch(repo_id, branch="exp/one")
    on_branch = commit(api, repo_id, add("a", b"2"), revision="exp/one")
    api.create_tag(repo_id, tag="v1.0", revision="exp/one", tag_message="first")
    api.create_tag(repo_id, tag="v0", revision=first.oid[:8])
    api.create_branch(repo_id, branch="from-tag", revision="v0")
    refs = api.list_repo_refs(repo_id)
    assert {b.name: b.target_commit for b in refs.branches} == {
        "main": first.oid, "exp/one": on_branch.oid, "from-tag": first.oid}
    assert {t.ref: t.target_commit for t in refs.tags} == {"refs/tags/v1.0": on_branch.oid, "refs/tags/v0": first.oid}
    for failing in (lambda: api.create_branch(repo_id, branch="exp/one"), lambda: api.create_tag(repo_id, tag="v0")):
        with pytest.raises(HfHubHTTPError, match="already exists") as failure:
            failing()
        assert failure.value.response.status_code == 409
    api.create_branch(repo_id, branch="exp/one", exist_ok=True)
    with pytest.raises(HfHubHTTPError) as failure:
        api.delete_branch(repo_id, branch="main")
    assert failure.value.response.status_code == 403
    api.delete_branch(repo_id, branch="exp/one")
    api.delete_tag(repo_id, tag="v0")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(repo_id, revision="exp/one")
    assert api.model_info(repo_id, revision="v1.0").sha == on_branch.oid
    with pytest.raises(RevisionNotFoundError):
        commit(api, repo_id, add("a", b"3"), revision="v1.0")  # a tag is not a branch


def test_tree_and_paths_info(api, repo_id):
    first = commit(api, repo_id, add("d/e/f.txt", b"f"), add("d/g.bin", b"large"), message="first")
    commit(api, repo_id, add("h.txt", b"h"), message="second")
    assert {item.path for item in api.list_repo_tree(repo_id)} == {".gitattributes", "d", "h.txt"}
    assert {item.path for item in api.list_repo_tree(repo_id, "d")} == {"d/e", "d/g.bin"}
    tree = {item.path: item for item in api.list_repo_tree(repo_id, recursive=True, expand=True)}
    assert set(tree) == {".gitattributes", "d", "d/e", "d/e/f.txt", "d/g.bin", "h.txt"}
    assert tree["d/g.bin"].lfs.size == 5 and tree["d/e/f.txt"].size == 1
    assert tree["d"].last_commit.oid == first.oid and tree["h.txt"].last_commit.title == "second"
    assert "h.txt" not in {item.path for item in api.list_repo_tree(repo_id, revision=first.oid)}
    found = api.get_paths_info(repo_id, ["d", "d/g.bin", "missing"], expand=True)
    assert [(item.path, item.last_commit.title) for item in found] == [("d", "first"), ("d/g.bin", "first")]
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(repo_id, "missing"))


def test_history(api, repo_id):
    for number in range(3):
        commit(api, repo_id, add("a", str(number).encode()), message=f"change {number}", commit_description="why")
    history = api.list_repo_commits(repo_id)
    assert [c.title for c in history] == ["change 2", "change 1", "change 0", "initial commit"]
    assert history[0].message == "why" and history[0].authors == ["kira"]
    assert api.model_info(repo_id).last_modified == history[0].created_at


def test_a_proposal_leaves_the_branch_alone(hub, api, repo_id):
    main = api.model_info(repo_id).sha
    proposal = commit(hub.api("other-write"), repo_id, add("a", b"1"), create_pr=True)
    assert proposal.pr_revision == "refs/pr/1"
    assert api.model_info(repo_id).sha == main
    assert api.model_info(repo_id, revision="refs/pr/1").sha == proposal.oid
    assert commit(api, repo_id, add("b", b"1"), create_pr=True).pr_num == 2
    with pytest.raises(HfHubHTTPError, match="may only read"):
        commit(hub.api("local-read"), repo_id, add("a", b"1"), create_pr=True)


def test_ignored_files(api, repo_id, tmp_path):
    (tmp_path / "f").mkdir()
    for name in ("keep.txt", "drop.log", ".gitignore"):
        (tmp_path / "f" / name).write_text("*.log\n")
    api.upload_folder(repo_id=repo_id, folder_path=tmp_path / "f")
    assert set(api.list_repo_files(repo_id)) == {".gitattributes", ".gitignore", "keep.txt"}
