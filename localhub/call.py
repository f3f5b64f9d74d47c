"""One request, read and routed, as the handlers see it; and who may see and change which repo."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from starlette.datastructures import QueryParams

from localhub.errors import Gated, Invalid, RepoNotFound, RevisionNotFound
from localhub.repo import Repo
from localhub.store import Store
from localhub.tokens import User, writer, writer_of


@dataclass
class Call:
    store: Store
    user: User | None
    method: str
    endpoint: str  # scheme, host and port by which the client reached this server
    segments: list[str]
    query: QueryParams
    body: bytes = b""
    upload: Path | None = None  # a body too long for memory, on disk until the answer is out

    def json(self) -> dict:
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Invalid("The body of this request must be a JSON object")
        return value

    def objects(self, name: str) -> list[dict]:
        """A list of JSON objects in the body."""
        value = self.json().get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise Invalid(f"{name} must be a list of JSON objects")
        return value

    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode("utf-8", "replace"))

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("1", "true")

    def url(self, repo: Repo) -> str:
        return f"{self.endpoint}/{repo.url_path}"

    def may_read(self, repo: Repo) -> bool:
        return repo.settings["visibility"] != "private" or self.owns(repo)

    def owns(self, repo: Repo) -> bool:
        return self.user is not None and self.user.owns(repo.namespace)

    def visible(self, kind: str) -> Iterator[tuple[Repo, str]]:
        """Every repo that the caller may read, with its latest commit; one that is deleted meanwhile is left out."""
        for repo in self.store.all(kind):
            try:
                tip = repo.resolve("main") if self.may_read(repo) else None
            except (FileNotFoundError, RevisionNotFound):
                continue
            if tip:
                yield repo, tip

    def readable(self, kind: str, repo_id: str) -> Repo:
        """A private repo that is not the caller's looks just like one that does not exist."""
        repo = self.store.find(kind, repo_id)
        if not self.may_read(repo):
            raise RepoNotFound("Repository not found")
        return repo

    def downloadable(self, repo: Repo) -> Repo:
        granted = repo.settings.get("access", {}).get(self.user.name, {}) if self.user else {}
        if repo.settings.get("gated") and not self.owns(repo) and granted.get("status") != "accepted":
            noun = repo.kind.removesuffix("s")
            raise Gated(f"Access to {noun} {repo.id} is restricted and you are not in the authorized list. "
                        f"Visit {self.url(repo)} to ask for access.")
        return repo

    def proposable(self, kind: str, repo_id: str) -> Repo:
        """Whoever may write somewhere may propose changes to any repo that they can read."""
        writer(self.user)
        return self.readable(kind, repo_id)

    def writable(self, kind: str, repo_id: str) -> Repo:
        writer(self.user)
        repo = self.readable(kind, repo_id)
        writer_of(self.user, repo.namespace)
        return repo
