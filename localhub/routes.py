"""Which handler answers which request. Paths are split before they are decoded: a branch may hold a slash."""

from starlette.responses import JSONResponse, Response

from localhub import access, commits, discussions, hub_api, lfs, pages, repo_api, space_runtime
from localhub.call import Call
from localhub.errors import Invalid, NotBuilt, NotFound, RepoNotFound
from localhub.repo import URL_PREFIX
from localhub.resolve import resolve

HUB = {
    ("GET", "whoami-v2"): hub_api.whoami,
    ("GET", "settings/repositories"): hub_api.own_repos,
    ("POST", "repos/create"): hub_api.create,
    ("DELETE", "repos/delete"): hub_api.delete,
    ("POST", "repos/move"): hub_api.move,
    ("POST", "validate-yaml"): hub_api.validate_yaml,
}
READ = {
    ("GET", "revision"): repo_api.info,
    ("GET", "tree"): repo_api.tree,
    ("POST", "paths-info"): repo_api.paths_info,
    ("GET", "commits"): repo_api.commits,
    ("GET", "refs"): repo_api.refs,
    ("GET", "auth-check"): repo_api.auth_check,
    ("GET", "discussions"): discussions.read,
    ("GET", "runtime"): space_runtime.runtime,
}
UPLOAD = {
    ("POST", "preupload"): commits.preupload,
    ("POST", "commit"): commits.commit,
}
WRITE = {
    ("POST", "branch"): repo_api.branch,
    ("DELETE", "branch"): repo_api.branch,
    ("POST", "tag"): repo_api.tag,
    ("DELETE", "tag"): repo_api.tag,
    ("PUT", "settings"): repo_api.settings,
    ("POST", "super-squash"): repo_api.squash,
    ("GET", "user-access-request"): access.requests,
    ("POST", "user-access-request"): access.requests,
    ("POST", "hardware"): space_runtime.hardware,
    **{(method, "variables"): space_runtime.variables for method in ("GET", "POST", "DELETE")},
    **{(method, "secrets"): space_runtime.secrets for method in ("GET", "POST", "DELETE")},
}
NOT_BUILT = {
    "lfs-files": "list of LFS files",
    **dict.fromkeys(["sleeptime", "pause", "restart", "storage", "logs"], "hardware to run Spaces on"),
}
NOT_BUILT_HUB = ("collections", "buckets", "jobs", "organizations", "settings", "users", "spaces-templates")


def answer(call: Call) -> Response:
    """Any request but a transfer of an LFS object. Works with files, so it runs on a worker thread."""
    parts = call.segments
    if parts[0] == "api":
        return _api(call, parts[1:])
    kind = parts[0] if URL_PREFIX.get(parts[0]) else "models"
    parts = parts[1:] if kind != "models" else parts
    if parts[2:] == ["info", "lfs", "objects", "batch"] and call.method == "POST":
        return lfs.batch(call, call.proposable(kind, f"{parts[0]}/{parts[1].removesuffix('.git')}"))
    if call.method not in ("GET", "HEAD"):
        raise NotFound("This Hub has nothing here to change")
    if parts[1:2] == ["resolve"]:
        raise RepoNotFound("Repository not found: this Hub has no repos without a namespace")
    if parts[2:3] in (["resolve"], ["raw"]) and len(parts) > 4:
        return resolve(call, call.readable(kind, "/".join(parts[:2])), parts[3], "/".join(parts[4:]))
    return pages.page(call, kind, parts)


def _api(call: Call, path: list[str]) -> Response:
    if handler := HUB.get((call.method, "/".join(path))):
        return handler(call)
    if path and path[0] in URL_PREFIX:
        if len(path) == 1 and call.method == "GET":
            return hub_api.list_repos(call, path[0])
        verb = path[3] if len(path) > 3 else "revision"
        return _repo(call, path[0], "/".join(path[1:3]), verb, path[4:])
    if len(path) == 3 and path[0] == "users" and path[2] == "likes" and call.method == "GET":
        return JSONResponse([])  # nobody can like anything here, so this list is complete
    if path and path[0] in NOT_BUILT_HUB:
        raise NotBuilt(f"This local Hub has no {path[0]}.")
    raise NotFound("This Hub has no such endpoint")


def _repo(call: Call, kind: str, repo_id: str, verb: str, rest: list[str]) -> Response:
    key = (call.method, verb)
    if key in UPLOAD:
        repo = call.proposable(kind, repo_id) if call.flag("create_pr") else call.writable(kind, repo_id)
        return UPLOAD[key](call, repo, rest)
    if key == ("POST", "discussions"):
        return discussions.write(call, call.proposable(kind, repo_id), rest)
    if key in WRITE:
        return WRITE[key](call, call.writable(kind, repo_id), rest)
    repo = call.readable(kind, repo_id)
    if key in READ:
        return READ[key](call, repo, rest)
    if verb in NOT_BUILT:
        raise NotBuilt(f"This local Hub has no {NOT_BUILT[verb]}.")
    if verb.startswith("xet-"):
        raise Invalid("This Hub does not speak Xet: set HF_HUB_DISABLE_XET=1 before the client is imported.")
    raise NotFound("This Hub has no such endpoint")
