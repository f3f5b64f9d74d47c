"""What a Space is told to run with: hardware, variables, secrets. Here it only stands written down: nothing runs it."""

import re

from starlette.responses import JSONResponse

from localhub.call import Call
from localhub.card import card_of
from localhub.errors import EntryNotFound, Invalid, NotFound
from localhub.repo import Repo, now

HARDWARE = frozenset("""
cpu-basic cpu-upgrade zero-a10g t4-small t4-medium l4x1 l4x4 l40sx1 l40sx4 l40sx8 a10g-small a10g-large a10g-largex2
a10g-largex4 a100-large a100x4 a100x8 rtx-pro-6000 rtx-pro-6000x2 rtx-pro-6000x4 rtx-pro-6000x8
""".split())
KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def first_settings(body: dict) -> dict:
    """What the request that creates a Space says of it."""
    settings = {}
    if body.get("hardware") is not None:
        settings = _with_hardware(settings, {"flavor": body["hardware"], **body})
    for kind in ("secrets", "variables"):
        for entry in body.get(kind) or []:
            settings = _with_entry(settings, kind, entry)
    return settings


def describe(repo: Repo, sha: str) -> dict:
    """The runtime as the Hub tells it to anyone who sees the Space."""
    settings, (card, _) = repo.settings, card_of(repo, sha)
    stage = "STOPPED" if str(card.get("app_file") or "app.py") in repo.files(sha) else "NO_APP_FILE"
    return {"stage": stage, "hardware": {"current": None, "requested": settings.get("hardware", "cpu-basic")},
            "storage": None, "gcTimeout": settings.get("sleep_time"), "replicas": {"current": 0, "requested": 1}}


def runtime(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    _space(repo)
    return JSONResponse(describe(repo, repo.resolve("main")))


def hardware(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    _space(repo)
    body = call.json()
    repo.change_settings(lambda settings: _with_hardware(settings, body))
    return JSONResponse(describe(repo, repo.resolve("main")))


def variables(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    return _entries(call, repo, "variables")


def secrets(call: Call, repo: Repo, rest: list[str]) -> JSONResponse:
    return _entries(call, repo, "secrets")


def _entries(call: Call, repo: Repo, kind: str) -> JSONResponse:
    """GET lists them, POST adds or replaces one, DELETE removes one."""
    _space(repo)
    if call.method == "POST":
        entry = call.json()
        repo.change_settings(lambda settings: _with_entry(settings, kind, entry))
    elif call.method == "DELETE":
        key = call.json().get("key")
        repo.change_settings(lambda settings: _without_entry(settings, kind, key))
    return JSONResponse({key: {"key": key, **entry} for key, entry in repo.settings.get(kind, {}).items()})


def _space(repo: Repo) -> None:
    if repo.kind != "spaces":
        raise NotFound("This Hub has no such endpoint")


def _with_hardware(settings: dict, body: dict) -> dict:
    if not isinstance(flavor := body.get("flavor"), str) or flavor not in HARDWARE:
        raise Invalid(f"flavor must be one of {', '.join(sorted(HARDWARE))}")
    changes = {"hardware": flavor}
    if isinstance(seconds := body.get("sleepTimeSeconds"), int):
        changes["sleep_time"] = seconds
    return {**settings, **changes}


def _with_entry(settings: dict, kind: str, entry: object) -> dict:
    entry = entry if isinstance(entry, dict) else {}
    key, value, description = entry.get("key"), entry.get("value"), entry.get("description")
    if not isinstance(key, str) or not KEY.fullmatch(key) or not isinstance(description, str | None):
        raise Invalid("key must begin with a letter and hold only letters, digits and '_'; description must be text")
    if not isinstance(value, str) or not value:
        raise Invalid("value must be text and not empty")
    kept = {"updatedAt": now()} | ({"description": description} if description else {})
    if kind == "variables":  # the value of a secret cannot be read back and, as nothing runs here, is not kept at all
        kept["value"] = value
    return {**settings, kind: {**settings.get(kind, {}), key: kept}}


def _without_entry(settings: dict, kind: str, key: object) -> dict:
    entries = settings.get(kind, {})
    if key not in entries:
        raise EntryNotFound(f"There is no such entry in the {kind} of this Space")
    return {**settings, kind: {name: entry for name, entry in entries.items() if name != key}}
