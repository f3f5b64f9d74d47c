"""The endpoints that are about the Hub as a whole: who am I, making and unmaking repos, lists, card validation."""

from starlette.responses import JSONResponse

from localhub import space_runtime
from localhub.call import Call
from localhub.card import card_problems
from localhub.errors import Conflict, Invalid, Unauthorized
from localhub.repo import URL_PREFIX, VISIBILITIES
from localhub.repo_api import describe
from localhub.store import SINGULAR
from localhub.tokens import writer, writer_of


def whoami(call: Call) -> JSONResponse:
    if call.user is None:
        raise Unauthorized("Invalid username or password.")
    user = call.user
    return JSONResponse({
        "type": "user", "id": user.name, "name": user.name, "fullname": user.full_name, "isPro": False,
        "orgs": [{"type": "org", "id": org, "name": org, "fullname": name} for org, name in user.orgs.items()],
        "auth": {"type": "access_token", "accessToken": {"displayName": "local", "role": user.role}},
    })


def own_repos(call: Call) -> JSONResponse:
    if call.user is None:
        raise Unauthorized("Invalid username or password.")
    return JSONResponse([
        {"id": repo.id, "type": SINGULAR[kind].lower(), "visibility": repo.settings["visibility"],
         "updatedAt": repo.commit(tip)["date"], "storage": sum(entry["size"] for entry in repo.files(tip).values()),
         "storagePercent": 0}
        for kind in URL_PREFIX for repo, tip in call.visible(kind) if repo.namespace == call.user.name
    ])


def _kind(body: dict) -> str:
    kind = f"{body.get('type') or 'model'}s"
    if kind not in URL_PREFIX:
        raise Invalid(f"This Hub has {', '.join(URL_PREFIX)}, not {kind}")
    return kind


def _own_id(call: Call, namespace: object, name: object) -> str:
    """The full id in a namespace of the caller's, who is the default."""
    user = writer(call.user)
    if not isinstance(name, str) or not isinstance(namespace, str | None):
        raise Invalid("A repo needs a name")
    owner = writer_of(user, namespace or user.name)
    spelled = next(n for n in (owner.name, *owner.orgs) if n.lower() == (namespace or user.name).lower())
    return f"{spelled}/{name}"


def create(call: Call) -> JSONResponse:
    body = call.json()
    kind = _kind(body)
    repo_id = _own_id(call, body.get("organization"), body.get("name"))
    visibility = body.get("visibility") or ("private" if body.get("private") else "public")
    if visibility not in VISIBILITIES:
        raise Invalid(f"visibility must be one of {', '.join(VISIBILITIES)}")
    url = f"{call.endpoint}/{URL_PREFIX[kind]}"
    try:
        repo = call.store.create(kind, repo_id, call.user.name, visibility=visibility, gated=False, sdk=body.get("sdk"),
                                 **(space_runtime.first_settings(body) if kind == "spaces" else {}))
    except Conflict as error:
        error.details["url"] = f"{url}{error.details['id']}"  # what a client with exist_ok goes on with
        raise
    return JSONResponse({"url": f"{url}{repo.id}", "name": repo.id, "id": repo.id})


def delete(call: Call) -> JSONResponse:
    body = call.json()
    namespace = body.get("organization") or writer(call.user).name
    call.store.delete(call.writable(_kind(body), f"{namespace}/{body.get('name')}"))
    return JSONResponse({})


def move(call: Call) -> JSONResponse:
    body = call.json()
    source, target = body.get("fromRepo"), body.get("toRepo")
    if not all(isinstance(repo_id, str) and repo_id.count("/") == 1 for repo_id in (source, target)):
        raise Invalid("fromRepo and toRepo must be of the form namespace/name")
    repo = call.writable(_kind(body), source)
    call.store.move(repo, _own_id(call, *target.split("/")))
    return JSONResponse({})


def validate_yaml(call: Call) -> JSONResponse:
    body = call.json()
    errors, warnings = card_problems(str(body.get("content", "")), str(body.get("repoType") or "model"))
    answer = {name: [{"message": m} for m in found] for name, found in (("errors", errors), ("warnings", warnings))}
    return JSONResponse(answer, 400 if errors else 200)


def list_repos(call: Call, kind: str) -> JSONResponse:
    author, search, limit = (call.query.get(name) for name in ("author", "search", "limit"))
    tags = call.query.getlist("filter")
    found = []
    for repo, tip in call.visible(kind):
        if author and repo.namespace.lower() != author.lower():
            continue
        if search and search.lower() not in repo.id.lower():
            continue
        info = describe(call, repo, tip)
        if set(tags) <= set(info["tags"]):
            found.append(info)
    found.sort(key=lambda info: info["lastModified"], reverse=True)
    return JSONResponse(found[: int(limit)] if limit and limit.isdigit() else found)
