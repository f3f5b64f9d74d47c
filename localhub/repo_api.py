"""The endpoints of one repo except uploads: its description, tree, history, branches, tags and settings."""

import json
from html import escape

from starlette.responses import JSONResponse

from localhub import space_runtime
from localhub.call import Call
from localhub.card import card_of
from localhub.errors import EntryNotFound, Invalid
from localhub.objects import git_id, pointer_id
from localhub.repo import VISIBILITIES, Repo

GATES = (False, "auto", "manual")


def _strings(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(v) for v in value] if isinstance(value, list) else []


def describe(call: Call, repo: Repo, sha: str, siblings: bool = False) -> dict:
    card, _ = card_of(repo, sha)
    settings = repo.settings
    tags = _strings(card.get("tags"))
    library, pipeline = card.get("library_name"), card.get("pipeline_tag")
    tags += [tag for tag in (library, pipeline) if isinstance(tag, str) and tag not in tags]
    tags += [f"{name}:{value}" for name in ("license", "base_model", "dataset") for value in _strings(card.get(name))]
    info = {
        "_id": git_id("repo", repo.id.encode())[:24], "id": repo.id, "author": repo.namespace, "sha": sha,
        "private": settings["visibility"] == "private", "visibility": settings["visibility"],
        "gated": settings.get("gated") or False, "disabled": False,
        "createdAt": settings["created"], "lastModified": repo.commit(sha)["date"],
        "downloads": 0, "likes": 0, "tags": tags, "library_name": library, "pipeline_tag": pipeline,
        # The front matter may hold dates, which JSON does not know.
        "cardData": json.loads(json.dumps(card, default=str)),
    }
    if repo.kind == "models":
        info["modelId"] = repo.id
    if repo.kind == "spaces":
        info["sdk"] = card.get("sdk") or settings.get("sdk")
        info["runtime"] = space_runtime.describe(repo, sha)
    if siblings:
        details = call.flag("blobs")
        info["siblings"] = [_sibling(path, entry, details) for path, entry in sorted(repo.files(sha).items())]
        info["usedStorage"] = sum(entry["size"] for entry in repo.files(sha).values())
    return info


def _sibling(path: str, entry: dict, details: bool) -> dict:
    sibling = {"rfilename": path}
    if details:
        sibling |= {"size": entry["size"], "blobId": entry["oid"]}
        if "lfs" in entry:
            sibling["lfs"] = {"sha256": entry["lfs"], "size": entry["size"], "pointerSize": _pointer_size(entry)}
    return sibling


def _pointer_size(entry: dict) -> int:
    return pointer_id(entry["lfs"], entry["size"])[1]


def info(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    return JSONResponse(describe(call, repo, repo.resolve(rest[0] if rest else "main"), siblings=True))


# Tree

def _file(path: str, entry: dict) -> dict:
    item = {"type": "file", "oid": entry["oid"], "size": entry["size"], "path": path}
    if "lfs" in entry:
        item["lfs"] = {"oid": entry["lfs"], "size": entry["size"], "pointerSize": _pointer_size(entry)}
    return item


def _folder(path: str, files: dict[str, dict]) -> dict:
    inside = sorted((name, entry["oid"]) for name, entry in files.items() if name.startswith(f"{path}/"))
    return {"type": "directory", "oid": git_id("tree", json.dumps(inside).encode()), "size": 0, "path": path}


def list_folder(files: dict[str, dict], folder: str, recursive: bool = False) -> list[dict]:
    """Files and folders in a folder, "" for all, sorted by path."""
    prefix = f"{folder}/" if folder else ""
    names, folders = [], set()
    for path in files:
        if not path.startswith(prefix):
            continue
        parents = path[len(prefix):].split("/")[:-1]
        folders |= {prefix + "/".join(parents[: depth + 1]) for depth in range(len(parents) if recursive else 1)
                    if parents}
        if recursive or not parents:
            names.append(path)
    if folder and not names and not folders:
        raise EntryNotFound(f"{folder} does not exist on this revision")
    items = [_file(path, files[path]) for path in names] + [_folder(path, files) for path in folders]
    return sorted(items, key=lambda item: item["path"])


def _with_last_commits(repo: Repo, sha: str, items: list[dict]) -> list[dict]:
    last = repo.last_commits(sha, {item["path"] for item in items})
    for item in items:
        commit_sha, commit = last[item["path"]]
        item["lastCommit"] = {"id": commit_sha, "title": commit["title"], "date": commit["date"]}
    return items


def tree(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    sha = repo.resolve(rest[0] if rest else "main")
    items = list_folder(repo.files(sha), "/".join(rest[1:]).strip("/"), call.flag("recursive"))
    if call.flag("expand"):
        items = _with_last_commits(repo, sha, items)
    return JSONResponse(items, headers={"X-Repo-Commit": sha})


def paths_info(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    sha = repo.resolve(rest[0] if rest else "main")
    files, form, items = repo.files(sha), call.form(), []
    for path in dict.fromkeys(name.strip("/") for name in form.get("paths", [])):
        if path in files:
            items.append(_file(path, files[path]))
        elif any(name.startswith(f"{path}/") for name in files):
            items.append(_folder(path, files))
    if form.get("expand", [""])[0].lower() == "true":
        items = _with_last_commits(repo, sha, items)
    return JSONResponse(items)


# History and refs

def commits(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    formatted, answer = call.query.get("expand[]") == "formatted", []
    for sha, commit in repo.history(repo.resolve(rest[0] if rest else "main")):
        entry = {"id": sha, "title": commit["title"], "message": commit["message"], "date": commit["date"],
                 "authors": [{"user": commit["author"]}]}
        if formatted:  # as HTML
            entry["formatted"] = {"title": escape(commit["title"]), "message": escape(commit["message"])}
        answer.append(entry)
    return JSONResponse(answer)


def refs(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    answer = {"branches": [], "tags": [], "converts": []}
    sections = {"heads": "branches", "tags": "tags", "convert": "converts"}
    if call.flag("include_prs"):
        sections["pr"] = "pullRequests"
        answer["pullRequests"] = []
    for ref, target in repo.refs().items():
        _, kind, name = ref.split("/", 2)
        if kind in sections:
            name = ref if kind == "pr" else name
            answer[sections[kind]].append({"name": name, "ref": ref, "targetCommit": target})
    return JSONResponse(answer)


def branch(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    name = "/".join(rest)
    if call.method == "DELETE":
        repo.delete_ref("heads", name)
        return JSONResponse({})
    start = call.json().get("startingPoint") if call.body else None
    repo.create_ref("heads", name, repo.resolve(str(start or "main")))
    return JSONResponse({})


def tag(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    if call.method == "DELETE":
        repo.delete_ref("tags", "/".join(rest))
        return JSONResponse({})
    name = call.json().get("tag")
    if not isinstance(name, str):
        raise Invalid("A tag needs a name")
    repo.create_ref("tags", name, repo.resolve("/".join(rest) or "main"))
    return JSONResponse({})


def squash(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    revision = "/".join(rest) or "main"
    sha = repo.squash(revision, str(call.json().get("message") or f"Squash {revision}"), call.user.name)
    return JSONResponse({"commitOid": sha})


def settings(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    body, changes = call.json(), {}
    if "private" in body:
        changes["visibility"] = "private" if body["private"] else "public"
    if "visibility" in body:
        changes["visibility"] = body["visibility"]
    if "gated" in body:
        changes["gated"] = body["gated"]
    if changes.get("visibility", "public") not in VISIBILITIES or changes.get("gated", False) not in GATES:
        raise Invalid(f"visibility must be one of {', '.join(VISIBILITIES)}; gated false, auto or manual")
    repo.change_settings(lambda settings: {**settings, **changes})
    return JSONResponse(changes)


def auth_check(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    call.downloadable(repo)
    return JSONResponse({})
