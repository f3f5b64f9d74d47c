"""Uploads that end in a commit: what goes where (preupload), and the commit itself."""

import base64
import binascii
import json
from collections.abc import Iterator

from starlette.responses import JSONResponse

from localhub.call import Call
from localhub.card import card_problems
from localhub.discussions import open_discussion
from localhub.errors import EntryNotFound, Invalid
from localhub.lfs_rules import is_ignored, is_large
from localhub.names import check_path
from localhub.objects import pointer_id
from localhub.repo import Repo


def _text(repo: Repo, files: dict, path: str) -> str:
    entry = files.get(path)
    return "" if entry is None or "lfs" in entry else repo.blob_path(entry["oid"]).read_text("utf-8", "replace")


def preupload(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    """For each file: plain or large, to be ignored or not, and the hash of what is there already."""
    body = call.json()
    files = repo.files(repo.resolve(rest[0] if rest else "main"))
    gitattributes = _text(repo, files, ".gitattributes")
    gitignore = str(body.get("gitIgnore") or "") or _text(repo, files, ".gitignore")
    answer = []
    for file in call.objects("files"):
        path, size = check_path(file.get("path")), file.get("size")
        if not isinstance(size, int):
            raise Invalid(f"preupload needs the size of {path}")
        item = {
            "path": path,
            "uploadMode": "lfs" if is_large(path, size, gitattributes) else "regular",
            "shouldIgnore": is_ignored(path, gitignore),
        }
        if entry := files.get(path):
            item["oid"] = entry.get("lfs") or entry["oid"]
        answer.append(item)
    return JSONResponse({"files": answer})


def _lines(call: Call) -> Iterator[tuple[str, dict]]:
    with call.upload.open("rb") as body:
        for line in filter(bytes.strip, body):
            try:
                item = json.loads(line)
                key, value = item["key"], item["value"]
            except (ValueError, KeyError, TypeError) as error:
                raise Invalid("A commit is one JSON object with key and value per line") from error
            if not isinstance(value, dict):
                raise Invalid(f"The value of a commit's {key} must be an object")
            yield key, value


def _content(value: dict) -> bytes:
    content = value.get("content")
    if not isinstance(content, str):
        raise Invalid("A file in a commit needs content")
    if value.get("encoding", "utf-8") != "base64":
        return content.encode()
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise Invalid("The content of a file in this commit is not base64") from error


def _change(call: Call, repo: Repo, key: str, value: dict) -> tuple[str, str, dict | None]:
    path = check_path(str(value.get("path")).rstrip("/") if key == "deletedFolder" else value.get("path"))
    if key == "file":
        data = _content(value)
        if path == "README.md":
            errors, _ = card_problems(data.decode("utf-8", "replace"), repo.kind.removesuffix("s"))
            if errors:
                raise Invalid("Invalid metadata in README.md: " + "; ".join(errors))
        return "add", path, repo.add_blob(data)
    if key == "lfsFile":
        sha256 = str(value.get("oid"))
        size = call.store.large.size(sha256)
        if size is None or value.get("size", size) != size:
            raise Invalid(f"The LFS file {path} ({sha256}) was not uploaded, so it cannot be committed")
        return "add", path, {"oid": pointer_id(sha256, size)[0], "size": size, "lfs": sha256}
    if key in ("deletedFile", "deletedFolder"):
        return "delete", path, None
    raise Invalid(f"A commit cannot hold {key!r}")


def commit(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    revision = "/".join(rest) or "main"
    repo.branch(revision)  # refused before anything is stored
    header, changes = {}, []
    for key, value in _lines(call):
        if key == "header":
            header = value
        else:
            changes.append(_change(call, repo, key, value))
    title = header.get("summary")
    if not isinstance(title, str) or not title.strip():
        raise Invalid("A commit needs a summary")
    try:
        sha, ref = repo.add_commit(
            revision, changes, title, str(header.get("description") or ""), call.user.name,
            parent=header.get("parentCommit"), pull_request=call.flag("create_pr"),
        )
    except EntryNotFound as error:
        raise Invalid(error.message) from error
    url, pull_request = call.url(repo), None
    if call.flag("create_pr"):
        text = str(header.get("description") or title)
        opened = open_discussion(repo, call.user.name, title, text, ref, repo.branch(revision)[0], "open")
        pull_request = f"{url}/discussions/{opened['num']}"
    return JSONResponse({
        "success": True, "commitOid": sha, "commitUrl": f"{url}/commit/{sha}", "hookOutput": "",
        "pullRequestUrl": pull_request,
    })
