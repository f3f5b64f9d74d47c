"""One repo as a folder of plain files: repo.json, blobs/ID, commits/SHA.json and refs/NAME.

Blobs and commits never change. A commit counts once a ref names it, and the ref is replaced last and at once, so a
process killed at any moment leaves the old commit or the new one.
"""

import functools
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from localhub.durable import Scratch, locked, room_on_disk, sync_directory
from localhub.errors import Conflict, EntryNotFound, Forbidden, Invalid, RevisionNotFound, Stale
from localhub.names import check_branch, check_tag
from localhub.objects import git_id

URL_PREFIX = {"models": "", "datasets": "datasets/", "spaces": "spaces/", "kernels": "kernels/"}
VISIBILITIES = ("public", "private", "protected")
MAIN = "refs/heads/main"


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@functools.lru_cache(maxsize=512)
def _read_commit(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


class Repo:
    def __init__(self, folder: Path, kind: str, repo_id: str, scratch: Scratch, lock: Path):
        self.folder, self.kind, self.id = folder, kind, repo_id
        self.scratch, self._lock = scratch, lock

    @property
    def namespace(self) -> str:
        return self.id.split("/")[0]

    @property
    def url_path(self) -> str:
        return f"{URL_PREFIX[self.kind]}{self.id}"

    def lock(self):
        return locked(self._lock)

    @functools.cached_property
    def settings(self) -> dict:
        return json.loads((self.folder / "repo.json").read_text("utf-8"))

    def change_settings(self, change: Callable[[dict], dict]) -> None:
        """Replaces the settings by what `change` makes of the newest ones."""
        with self.lock():
            self.__dict__.pop("settings", None)
            self.settings = change(self.settings)
            self.scratch.write_json(self.folder / "repo.json", self.settings)

    # Refs

    def _ref_path(self, ref: str) -> Path:
        return self.folder / "refs" / quote(ref, safe="")

    def refs(self) -> dict[str, str]:
        """Full names of branches, tags and pull requests, each with its commit."""
        return {unquote(p.name): p.read_text() for p in sorted((self.folder / "refs").iterdir())}

    def _read_ref(self, ref: str) -> str | None:
        try:
            return self._ref_path(ref).read_text()
        except OSError:  # missing, or a name too long to be a file's
            return None

    def branch(self, revision: str) -> tuple[str, str]:
        """The full name and the tip of what can be committed to."""
        ref = revision if revision.startswith("refs/") else f"refs/heads/{revision}"
        tip = None if ref.startswith("refs/tags/") else self._read_ref(ref)
        if tip is None:
            raise RevisionNotFound(f"Invalid rev id: {revision}")
        return ref, tip

    def resolve(self, revision: str) -> str:
        """The commit that a branch, a tag, a full ref or a full or shortened commit id stands for."""
        for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if name.startswith("refs/") and (tip := self._read_ref(name)) is not None:
                return tip
        if 4 <= len(revision) <= 40 and not set(revision) - set("0123456789abcdef"):
            found = [p.stem for p in (self.folder / "commits").glob(f"{revision}*.json")]
            if len(found) == 1:
                return found[0]
        raise RevisionNotFound(f"Invalid rev id: {revision}")

    def create_ref(self, kind: str, name: str, target: str) -> None:
        (check_branch if kind == "heads" else check_tag)(name)
        ref = f"refs/{kind}/{name}"
        with self.lock():
            if self._read_ref(ref) is not None:
                raise Conflict(f"Reference {ref} already exists")
            self.scratch.write(self._ref_path(ref), target.encode())

    def delete_ref(self, kind: str, name: str) -> None:
        ref = f"refs/{kind}/{name}"
        with self.lock():
            if ref == MAIN:
                raise Forbidden("Cannot delete refs/heads/main")
            if self._read_ref(ref) is None:
                raise RevisionNotFound(f"Invalid rev id: {name}")
            os.unlink(self._ref_path(ref))
            sync_directory(self.folder / "refs")

    # Commits

    def commit(self, sha: str) -> dict:
        return _read_commit(self.folder / "commits" / f"{sha}.json")

    def files(self, sha: str) -> dict[str, dict]:
        """Path -> {"oid", "size"} and, for LFS, "lfs": the sha256."""
        return self.commit(sha)["files"]

    def history(self, sha: str | None) -> Iterator[tuple[str, dict]]:
        """From a commit back to the first."""
        while sha:
            commit = self.commit(sha)
            yield sha, commit
            sha = commit["parent"]

    def last_commits(self, sha: str, paths: set[str]) -> dict[str, tuple[str, dict]]:
        """For each path, of a file or a folder, the newest commit that touched it."""
        wanted, found = set(paths), {}
        for commit_sha, commit in self.history(sha):
            if not wanted:
                break
            after = commit["files"]
            before = self.files(commit["parent"]) if commit["parent"] else {}
            for path in after.keys() | before.keys():
                if after.get(path) == before.get(path):
                    continue
                while path:
                    if path in wanted:
                        wanted.discard(path)
                        found[path] = (commit_sha, commit)
                    path = path.rpartition("/")[0]
        return found

    def blob_path(self, oid: str) -> Path:
        return self.folder / "blobs" / oid

    def add_blob(self, data: bytes) -> dict:
        oid = git_id("blob", data)
        if not self.blob_path(oid).exists():
            with room_on_disk():
                self.scratch.write(self.blob_path(oid), data)
        return {"oid": oid, "size": len(data)}

    def _write_commit(self, parent: str | None, files: dict, title: str, message: str, author: str) -> str:
        commit = {"parent": parent, "title": title, "message": message, "author": author, "date": now(), "files": files}
        data = json.dumps(commit, indent=1, sort_keys=True).encode()
        sha = git_id("commit", data)
        self.scratch.write(self.folder / "commits" / f"{sha}.json", data)
        return sha

    def add_commit(self, revision: str, changes: list, title: str, message: str, author: str,
                   parent: str | None = None, pull_request: bool = False) -> tuple[str, str]:
        """Applies changes, ("add", path, entry) or ("delete", path, None), on top of a branch; all of them or none.

        Returns the commit and its ref. With `parent`, only if that is still the tip. With `pull_request` the commit
        goes on a new ref of its own and the branch stays.
        """
        with self.lock(), room_on_disk():
            ref, tip = self.branch(revision)
            if parent and not (tip == parent or (len(parent) >= 7 and tip.startswith(parent))):
                raise Stale("The branch was updated since you opened this page. Please refresh and try again.")
            files = apply(self.files(tip), changes)
            sha = self._write_commit(tip, files, title, message, author)
            if pull_request:
                ref = f"refs/pr/{self.next_number()}"
            self.scratch.write(self._ref_path(ref), sha.encode())
            return sha, ref

    def next_number(self) -> int:
        """For the next discussion or pull request, which are counted together; call it under the lock."""
        numbers = [int(ref.removeprefix("refs/pr/")) for ref in self.refs() if ref.startswith("refs/pr/")]
        numbers += [int(path.stem) for path in (self.folder / "discussions").glob("*.json")]
        return max(numbers, default=0) + 1

    def open_pull_request(self, tip: str) -> str:
        with self.lock():
            ref = f"refs/pr/{self.next_number()}"
            self.scratch.write(self._ref_path(ref), tip.encode())
        return ref

    def merge(self, source: str, target: str, title: str, author: str) -> str:
        """Brings what `source` changed since it left `target` into it; all of it or, when both changed a file, none."""
        source_tip = self.resolve(source)
        with self.lock(), room_on_disk():
            ref, tip = self.branch(target)
            known = {sha for sha, _ in self.history(tip)}
            fork = next(sha for sha, _ in self.history(source_tip) if sha in known)
            old, ours, theirs = self.files(fork), self.files(tip), self.files(source_tip)
            changed = {path for path in old.keys() | theirs.keys() if old.get(path) != theirs.get(path)}
            if clash := [path for path in changed if ours.get(path) not in (old.get(path), theirs.get(path))]:
                raise Conflict(f"Both sides changed {', '.join(sorted(clash))}")
            changes = [("delete", path, None) for path in changed - theirs.keys() if path in ours]
            changes += [("add", path, theirs[path]) for path in changed & theirs.keys()]
            sha = self._write_commit(tip, apply(ours, changes), title, "", author)
            self.scratch.write(self._ref_path(ref), sha.encode())
            return sha

    def squash(self, revision: str, title: str, author: str) -> str:
        """One commit with the files of a branch takes the place of its history."""
        with self.lock(), room_on_disk():
            ref, tip = self.branch(revision)
            sha = self._write_commit(None, self.files(tip), title, "", author)
            self.scratch.write(self._ref_path(ref), sha.encode())
            return sha

    def begin(self, files: dict[str, bytes], author: str) -> None:
        """The first commit, in a folder that nobody else can see yet."""
        for name in ("blobs", "commits", "refs"):
            (self.folder / name).mkdir(parents=True)
        entries = {path: self.add_blob(data) for path, data in files.items()}
        sha = self._write_commit(None, entries, "initial commit", "", author)
        self.scratch.write(self._ref_path(MAIN), sha.encode())


def apply(files: dict[str, dict], changes: list) -> dict[str, dict]:
    files = dict(files)
    for action, path, entry in changes:
        if action == "add":
            files[path] = entry
            continue
        gone = [name for name in files if name == path or name.startswith(f"{path}/")]
        if not gone:
            raise EntryNotFound(f"A file with the name \"{path}\" does not exist, so it cannot be deleted")
        for name in gone:
            del files[name]
    for path in files:
        while path := path.rpartition("/")[0]:
            if path in files:
                raise Invalid(f"{path} cannot be a file and a folder at once")
    return files
