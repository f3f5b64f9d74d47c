"""Files that survive `kill -9` and power loss: a reader finds the whole old file or the whole new one."""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from localhub.errors import DiskFull

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def room_on_disk() -> Iterator[None]:
    """Turns the system's several ways of saying that a write does not fit into one error."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DiskFull("The disk of this Hub is full; nothing was changed.") from error
        raise


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Exclusive among threads and processes alike; the system lets go of it when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Like mkdir -p, but the new names are on disk when it returns."""
    if not path.is_dir():
        make_directory(path.parent)
        path.mkdir(exist_ok=True)
        sync_directory(path.parent)


class Scratch:
    """This process's own folder for unfinished files, on the same file system as what they become.

    A folder whose owner holds its lock no more belongs to a dead process; the next one to start removes it.
    """

    def __init__(self, root: Path):
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / "lock"):
            for folder in root.glob("*.tmp"):
                with (folder / "owner").open("a") as owner, contextlib.suppress(BlockingIOError):
                    fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            self.folder = root / f"{secrets.token_hex(8)}.tmp"
            self.folder.mkdir()
            self._owner = (self.folder / "owner").open("a")
            fcntl.flock(self._owner, fcntl.LOCK_EX)

    def path(self) -> Path:
        return self.folder / secrets.token_hex(8)

    @contextlib.contextmanager
    def file(self) -> Iterator[Path]:
        """A name for a file that is gone afterwards unless it was moved into place."""
        path = self.path()
        try:
            with room_on_disk():
                yield path
        finally:
            path.unlink(missing_ok=True)

    def publish(self, unfinished: Path, target: Path) -> None:
        """Moves a complete file into place; when this returns it is there for good."""
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        make_directory(target.parent)
        os.replace(unfinished, target)
        sync_directory(target.parent)

    def write(self, target: Path, data: bytes) -> None:
        with self.file() as path:
            path.write_bytes(data)
            self.publish(path, target)

    def write_json(self, target: Path, value: object) -> None:
        self.write(target, json.dumps(value, indent=1, sort_keys=True).encode())
