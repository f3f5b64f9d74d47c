"""Pull requests and discussions, as far as the client library knows them."""

import pytest
from hub import text_of
from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.errors import HfHubHTTPError


def change(api, repo_id, path, data, **options):
    return api.create_commit(repo_id, [CommitOperationAdd(path, data)], commit_message="change", **options)


def test_a_pull_request_from_opening_to_merging(hub, api, repo_id):
    change(api, repo_id, "old.txt", b"old")
    other = hub.api("other-write")
    proposal = other.create_commit(
        repo_id, [CommitOperationAdd("new.txt", b"new"), CommitOperationDelete("old.txt")],
        commit_message="Replace", create_pr=True)
    change(api, repo_id, "meanwhile.txt", b"m")
    opened = api.get_discussion_details(repo_id, proposal.pr_num)
    assert (opened.status, opened.author, opened.target_branch) == ("open", "other", "refs/heads/main")
    with pytest.raises(HfHubHTTPError, match="own the repo"):
        other.merge_pull_request(repo_id, proposal.pr_num)
    api.merge_pull_request(repo_id, proposal.pr_num)
    merged = api.get_discussion_details(repo_id, proposal.pr_num)
    assert merged.status == "merged" and merged.merge_commit_oid == api.model_info(repo_id).sha
    assert set(api.list_repo_files(repo_id)) == {".gitattributes", "new.txt", "meanwhile.txt"}
    with pytest.raises(HfHubHTTPError, match="Only an open pull request"):
        api.merge_pull_request(repo_id, proposal.pr_num)


def test_what_both_sides_changed_is_not_merged(api, repo_id):
    change(api, repo_id, "a.txt", b"1")
    proposal = change(api, repo_id, "a.txt", b"theirs", create_pr=True)
    change(api, repo_id, "a.txt", b"ours")
    with pytest.raises(HfHubHTTPError, match="Both sides changed a.txt") as failure:
        api.merge_pull_request(repo_id, proposal.pr_num)
    assert failure.value.response.status_code == 409
    assert text_of(api.hf_hub_download(repo_id, "a.txt")) == "ours"


def test_talk(hub, api, repo_id):
    discussion = api.create_discussion(repo_id, title="A question", description="Why?")
    comment = hub.api("other-write").comment_discussion(repo_id, discussion.num, "Because.")
    assert (comment.author, comment.content) == ("other", "Because.")
    with pytest.raises(HfHubHTTPError, match="not yours"):
        api.edit_discussion_comment(repo_id, discussion.num, comment.id, "Changed")
    with pytest.raises(HfHubHTTPError, match="not yours"):
        hub.api("other-write").rename_discussion(repo_id, discussion.num, "Mine")
    api.change_discussion_status(repo_id, discussion.num, "closed", comment="Thanks")
    assert [d.num for d in api.get_repo_discussions(repo_id, discussion_status="open")] == []
    details = api.get_discussion_details(repo_id, discussion.num)
    assert [event.type for event in details.events] == ["comment", "comment", "status-change", "comment"]


def test_squash(api, repo_id):
    for number in range(3):
        change(api, repo_id, "a.txt", str(number).encode())
    api.super_squash_history(repo_id, commit_message="All in one")
    assert [commit.title for commit in api.list_repo_commits(repo_id)] == ["All in one"]
    assert text_of(api.hf_hub_download(repo_id, "a.txt")) == "2"
