"""Who may download a gated repo: the owners keep a list of others, each accepted, rejected or pending."""

import secrets

from starlette.responses import JSONResponse

from localhub.call import Call
from localhub.errors import Conflict, EntryNotFound, Invalid
from localhub.repo import Repo, now

STATUSES = ("accepted", "rejected", "pending")


def requests(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    """GET of one status lists; POST of `grant` or `handle` changes."""
    if call.method == "GET":
        return JSONResponse([
            {"user": {"user": user, "fullname": user}, **entry}
            for user, entry in repo.settings.get("access", {}).items() if [entry["status"]] == rest
        ])
    body = call.json()
    if rest == ["grant"]:
        repo.change_settings(lambda settings: _set(settings, body.get("user"), "accepted", new=True))
    elif rest == ["handle"]:
        if body.get("status") not in STATUSES:
            raise Invalid(f"status must be one of {', '.join(STATUSES)}")
        repo.change_settings(lambda settings: _set(settings, _user(settings, body), body["status"], new=False))
    else:
        raise EntryNotFound("Access is changed by grant or handle")
    return JSONResponse({})


def _user(settings: dict, body: dict) -> object:
    by_id = {entry["requestId"]: user for user, entry in settings.get("access", {}).items()}
    return body.get("user") or by_id.get(body.get("requestId"))


def _set(settings: dict, user: object, status: str, new: bool) -> dict:
    access = settings.get("access", {})
    if not isinstance(user, str) or (user not in access and not new):
        raise EntryNotFound("There is no request for access by this user")
    if user in access and (new or access[user]["status"] == status):
        raise Conflict(f"The access of {user} is {access[user]['status']} already")
    entry = {"requestId": secrets.token_hex(12), "timestamp": now(), **access.get(user, {}), "status": status}
    return {**settings, "access": {**access, user: entry}}
