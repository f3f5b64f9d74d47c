"""Who is asking: tokens live in ROOT/tokens.json as {"token": {"user", "role", "orgs"}}, for a person to edit.

"names", if there, holds full names of the user and the orgs.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from localhub.durable import Scratch
from localhub.errors import Forbidden, Unauthorized

DEFAULTS = {
    "local-write": {"user": "kira", "role": "write", "orgs": ["embedded"]},
    "local-read": {"user": "reader", "role": "read", "orgs": []},
}


@dataclass(frozen=True)
class User:
    name: str
    role: str
    full_name: str
    orgs: dict[str, str]  # each with its full name

    def owns(self, namespace: str) -> bool:
        return namespace.lower() in [name.lower() for name in (self.name, *self.orgs)]


class Tokens:
    """Read anew on every request, so that an edited file counts at once."""

    def __init__(self, path: Path, scratch: Scratch):
        self.path = path
        if not path.exists():
            scratch.write_json(path, DEFAULTS)

    def user(self, authorization: str | None) -> User | None:
        """The user behind an Authorization header, None without one; a token that is not listed is an error."""
        scheme, _, token = (authorization or "").partition(" ")
        if not token.strip():
            return None
        entry = json.loads(self.path.read_text("utf-8")).get(token.strip())
        if scheme.lower() != "bearer" or entry is None:
            raise Unauthorized("Invalid credentials in Authorization header")
        names = entry.get("names", {})
        user, orgs = entry["user"], {org: names.get(org, org) for org in entry.get("orgs", [])}
        return User(user, entry.get("role", "read"), names.get(user, user), orgs)


def writer(user: User | None) -> User:
    if user is None:
        raise Unauthorized("Writing needs a token: set HF_TOKEN, for instance to local-write.")
    if user.role != "write":
        raise Forbidden(f"The token of {user.name} may only read; writing needs one whose role is write")
    return user


def writer_of(user: User | None, namespace: str) -> User:
    user = writer(user)
    if not user.owns(namespace):
        raise Forbidden(f"{user.name} may not write in the namespace {namespace}: neither the user's own nor an org's")
    return user
