"""All repos of a Hub under one folder. Several processes may work on the same folder at the same time."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import yaml

from localhub.durable import Scratch, locked, make_directory, room_on_disk, sync_directory
from localhub.errors import Conflict, RepoNotFound
from localhub.lfs_rules import initial_gitattributes
from localhub.names import REPO_NAME, check_repo_id
from localhub.objects import LargeObjects
from localhub.repo import URL_PREFIX, Repo, now

SINGULAR = {"models": "model", "datasets": "dataset", "spaces": "Space", "kernels": "kernel"}


def _first_files(kind: str, repo_id: str, settings: dict) -> dict[str, bytes]:
    files = {".gitattributes": initial_gitattributes(kind)}
    if kind == "spaces":  # a Space's card says how to run it, so it has one from the start
        card = {"title": repo_id.split("/")[1], "sdk": settings.get("sdk") or "static"}
        files["README.md"] = f"---\n{yaml.safe_dump(card, sort_keys=False)}---\n".encode()
    return files


class Store:
    def __init__(self, root: Path):
        self.root = root.absolute()
        make_directory(self.root)
        self.scratch = Scratch(self.root / "unfinished")
        self.large = LargeObjects(self.root / "lfs", self.scratch)
        self.signing_key = self._shared_key(self.root / "signing.key")

    def _shared_key(self, path: Path) -> bytes:
        """Upload URLs signed by one process are honoured by the others."""
        with locked(self.root / "locks" / "signing-key"):
            if not path.exists():
                self.scratch.write(path, secrets.token_bytes(32))
                path.chmod(0o600)
            return path.read_bytes()

    def _folder(self, kind: str, repo_id: str) -> Path:
        return self.root / "repos" / kind / repo_id

    def _lock_path(self, kind: str, repo_id: str) -> Path:
        return self.root / "locks" / kind / repo_id.lower().replace("/", "--")

    def _redirect_path(self, kind: str, repo_id: str) -> Path:
        return self.root / "moved" / kind / repo_id.lower().replace("/", "--")

    def _open(self, kind: str, repo_id: str) -> Repo:
        return Repo(self._folder(kind, repo_id), kind, repo_id, self.scratch, self._lock_path(kind, repo_id))

    def _spelling(self, kind: str, repo_id: str) -> str | None:
        """The id as it was created: the Hub's ids are unique without regard to case."""
        if (self._folder(kind, repo_id) / "repo.json").is_file():
            return repo_id
        folder = self.root / "repos" / kind
        for part in repo_id.split("/"):
            entries = folder.iterdir() if folder.is_dir() else ()
            folder = next((entry for entry in entries if entry.name.lower() == part.lower()), None)
            if folder is None:
                return None
        return "/".join(folder.parts[-2:]) if (folder / "repo.json").is_file() else None

    def find(self, kind: str, repo_id: str) -> Repo:
        """The repo of this id, in whatever case, or the one it was renamed to."""
        if kind in URL_PREFIX and repo_id.count("/") == 1 and all(map(REPO_NAME.fullmatch, repo_id.split("/"))):
            for _ in range(10):  # renamed again and again, but not in a circle
                if spelling := self._spelling(kind, repo_id):
                    return self._open(kind, spelling)
                try:
                    repo_id = self._redirect_path(kind, repo_id).read_text()
                except FileNotFoundError:
                    break
        raise RepoNotFound("Repository not found")

    def all(self, kind: str) -> Iterator[Repo]:
        for settings in sorted((self.root / "repos" / kind).glob("*/*/repo.json")):
            yield self._open(kind, "/".join(settings.parts[-3:-1]))

    def create(self, kind: str, repo_id: str, author: str, **settings) -> Repo:
        check_repo_id(repo_id)
        with locked(self._lock_path(kind, repo_id)), room_on_disk():
            if spelling := self._spelling(kind, repo_id):
                raise Conflict(f"You already created this {SINGULAR[kind]} repo", id=spelling)
            unfinished = self.scratch.path()
            draft = Repo(unfinished, kind, repo_id, self.scratch, self._lock_path(kind, repo_id))
            try:
                draft.begin(_first_files(kind, repo_id, settings), author)
                self.scratch.write_json(unfinished / "repo.json", {"created": now(), **settings})
                self._place(unfinished, self._folder(kind, repo_id))
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
            self._redirect_path(kind, repo_id).unlink(missing_ok=True)
        return self._open(kind, repo_id)

    def _place(self, source: Path, target: Path) -> None:
        make_directory(target.parent)
        if target.exists() and not (target / "repo.json").exists():
            shutil.rmtree(target)  # what an upload left that raced with the repo's deletion
        os.rename(source, target)
        sync_directory(target.parent)

    def delete(self, repo: Repo) -> None:
        with repo.lock():
            grave = self.scratch.path()
            with suppress(FileNotFoundError):  # another process was first
                os.rename(repo.folder, grave)
                sync_directory(repo.folder.parent)
        shutil.rmtree(grave, ignore_errors=True)

    def move(self, repo: Repo, new_id: str) -> None:
        check_repo_id(new_id)
        with ExitStack() as locks:
            # Always in the same order, so that two moves cannot wait for each other.
            for path in sorted({self._lock_path(repo.kind, repo.id), self._lock_path(repo.kind, new_id)}):
                locks.enter_context(locked(path))
            taken = self._spelling(repo.kind, new_id)
            if taken and taken != repo.id:
                raise Conflict(f"A {SINGULAR[repo.kind]} repository called {new_id} already exists")
            # The old id's redirect counts only while no repo has that id, so it may be written first.
            self.scratch.write(self._redirect_path(repo.kind, repo.id), new_id.encode())
            self._place(repo.folder, self._folder(repo.kind, new_id))
            self._redirect_path(repo.kind, new_id).unlink(missing_ok=True)
