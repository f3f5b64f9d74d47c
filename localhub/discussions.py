"""Discussions and pull requests of a repo: one JSON file each, under the number that a pull request's ref bears too."""

import json
import secrets
from collections.abc import Callable

from starlette.responses import JSONResponse

from localhub.call import Call
from localhub.errors import Conflict, EntryNotFound, Forbidden, Invalid
from localhub.repo import MAIN, Repo, now
from localhub.tokens import writer

STATUSES = ("open", "closed")


def _event(kind: str, author: str, **data) -> dict:
    return {"id": secrets.token_hex(12), "type": kind, "createdAt": now(), "author": {"name": author}, "data": data}


def _comment(author: str, text: object) -> dict:
    if not isinstance(text, str) or not text.strip():
        raise Invalid("A comment needs text")
    return _event("comment", author, edited=False, hidden=False, latest={"raw": text})


def _path(repo: Repo, number: int):
    return repo.folder / "discussions" / f"{number}.json"


def _read(repo: Repo, number: str) -> dict:
    try:
        return json.loads(_path(repo, int(number)).read_text("utf-8"))
    except (ValueError, FileNotFoundError) as error:
        raise EntryNotFound(f"Discussion {number} does not exist") from error


def _all(repo: Repo) -> list[dict]:
    found = [json.loads(path.read_text("utf-8")) for path in (repo.folder / "discussions").glob("*.json")]
    return sorted(found, key=lambda discussion: -discussion["num"])


def open_discussion(repo: Repo, author: str, title: str, text: str, ref: str | None, base: str, status: str) -> dict:
    """Starts a discussion, of a pull request when it has a ref."""
    with repo.lock():
        number = int(ref.removeprefix("refs/pr/")) if ref else repo.next_number()
        discussion = {
            "num": number, "title": title, "status": status, "author": {"name": author}, "createdAt": now(),
            "repo": {"name": repo.id, "type": repo.kind.removesuffix("s")}, "isPullRequest": ref is not None,
            "events": [_comment(author, text)],
        }
        if ref:
            discussion |= {"changes": {"base": base}, "filesWithConflicts": []}
        repo.scratch.write_json(_path(repo, number), discussion)
    return discussion


def _change(repo: Repo, number: str, change: Callable[[dict], dict]) -> dict:
    with repo.lock():
        discussion = _read(repo, number)
        event = change(discussion)
        repo.scratch.write_json(_path(repo, discussion["num"]), discussion)
    return event


def _listed(call: Call, discussion: dict) -> bool:
    kind, status, author = (call.query.get(name) for name in ("type", "status", "author"))
    wanted = {"pull_request": [True], "discussion": [False]}.get(kind, [True, False])
    statuses = {"open": ("open", "draft"), "closed": ("closed", "merged")}.get(status)
    return (
        discussion["isPullRequest"] in wanted
        and (not statuses or discussion["status"] in statuses)
        and (not author or discussion["author"]["name"] == author)
    )


def read(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    if rest:
        return JSONResponse(_read(repo, rest[0]))
    found = [discussion for discussion in _all(repo) if _listed(call, discussion)]
    return JSONResponse({"count": len(found), "start": 0, "discussions": found})


def write(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    user, body = writer(call.user), call.json() if call.body else {}
    if not rest:
        title = body.get("title")
        if not isinstance(title, str) or not title.strip():
            raise Invalid("A discussion needs a title")
        ref = repo.open_pull_request(repo.resolve("main")) if body.get("pullRequest") else None
        status = "draft" if ref else "open"
        return JSONResponse(open_discussion(repo, user.name, title, body.get("description"), ref, MAIN, status))
    number, verb, rest = rest[0], "/".join(rest[1:2] + rest[3:]), rest[2:3]
    if verb == "comment":
        return JSONResponse({"newMessage": _append(repo, number, lambda d: _comment(user.name, body.get("comment")))})
    may_edit = call.owns(repo) or _read(repo, number)["author"]["name"] == user.name
    if not may_edit:
        raise Forbidden(f"Discussion {number} is not yours, nor is the repo")
    if verb == "title":
        return JSONResponse({"newTitle": _append(repo, number, lambda d: _rename(d, user.name, body.get("title")))})
    if verb == "status":
        event = _append(repo, number, lambda d: _set_status(d, user.name, body.get("status")))
        if body.get("comment"):
            _append(repo, number, lambda d: _comment(user.name, body["comment"]))
        return JSONResponse({"newStatus": event})
    if verb in ("comment/edit", "comment/hide"):
        return JSONResponse({"updatedComment": _change(
            repo, number, lambda d: _edit(d, user.name, rest[0], None if verb.endswith("hide") else body.get("content"))
        )})
    if verb == "merge":
        return _merge(call, repo, number)
    raise EntryNotFound("There is no such thing to do with a discussion")


def _append(repo: Repo, number: str, make: Callable[[dict], dict]) -> dict:
    def change(discussion: dict) -> dict:
        discussion["events"].append(make(discussion))
        return discussion["events"][-1]

    return _change(repo, number, change)


def _rename(discussion: dict, author: str, title: object) -> dict:
    if not isinstance(title, str) or not title.strip():
        raise Invalid("A discussion needs a title")
    old, discussion["title"] = discussion["title"], title
    return _event("title-change", author, **{"from": old, "to": title})


def _set_status(discussion: dict, author: str, status: object) -> dict:
    if status not in STATUSES:
        raise Invalid(f"status must be one of {', '.join(STATUSES)}")
    if discussion["status"] == "merged":
        raise Conflict("This pull request is merged")
    discussion["status"] = status
    return _event("status-change", author, status=status)


def _edit(discussion: dict, author: str, comment_id: str, text: str | None) -> dict:
    """New text for a comment, or none: then it is hidden."""
    for event in discussion["events"]:
        if event["id"] == comment_id and event["type"] == "comment":
            if event["author"]["name"] != author:
                raise Forbidden("This comment is not yours")
            event["data"] |= {"hidden": True} if text is None else {"edited": True, "latest": {"raw": text}}
            return event
    raise EntryNotFound("This comment does not exist")


def _merge(call: Call, repo: Repo, number: str) -> JSONResponse:
    discussion = _read(repo, number)
    if not call.owns(repo):
        raise Forbidden("Merging is for those who own the repo")
    if not discussion["isPullRequest"] or discussion["status"] != "open":
        raise Conflict("Only an open pull request can be merged")
    title = f"{discussion['title']} (#{number})"
    sha = repo.merge(f"refs/pr/{number}", discussion["changes"]["base"], title, call.user.name)

    def change(discussion: dict) -> dict:
        discussion["status"] = "merged"
        discussion["changes"]["mergeCommitId"] = sha
        return _event("status-change", call.user.name, status="merged")

    _append(repo, number, change)
    return JSONResponse({"mergeCommitId": sha})
