"""File contents, stored under their hashes: small ones per repo by git's blob id, large ones (LFS) by sha256."""

import hashlib
import os
from pathlib import Path

from localhub.durable import Scratch, room_on_disk
from localhub.errors import Invalid

CHUNK_BYTES = 1 << 20


def git_id(kind: str, data: bytes) -> str:
    """The id git gives an object; the clients compare it to skip files that have not changed."""
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


def pointer_id(sha256: str, size: int) -> tuple[str, int]:
    """Git's id and the size of the text that stands for an LFS file in a git tree."""
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    return git_id("blob", text), len(text)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class LargeObjects:
    """All LFS files of the Hub; the same bytes in two repos are stored once."""

    def __init__(self, folder: Path, scratch: Scratch):
        self.folder, self.scratch = folder, scratch

    def path(self, sha256: str) -> Path:
        if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise Invalid("An LFS object's id is a sha256 in lower-case hex")
        return self.folder / sha256[:2] / sha256

    def size(self, sha256: str) -> int | None:
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def accept(self, unfinished: Path, sha256: str, found: str) -> None:
        """Takes in an upload whose hash came out as `found`, or refuses it."""
        if found != sha256:
            raise Invalid(f"The upload of {sha256} has sha256 {found}; it was not kept.")
        with room_on_disk():
            self.scratch.publish(unfinished, self.path(sha256))


class Assembly:
    """One multipart upload: parts may come in any order and again, each to its own place in one file."""

    def __init__(self, path: Path, size: int, part_bytes: int):
        self.path, self.size, self.part_bytes = path, size, part_bytes
        if not path.exists():
            with room_on_disk():
                path.touch()

    @property
    def parts(self) -> int:
        return -(-self.size // self.part_bytes)

    def offset(self, part: int) -> int:
        if not 1 <= part <= self.parts:
            raise Invalid(f"Part {part} of {self.parts} does not exist")
        return (part - 1) * self.part_bytes

    def expected(self, part: int) -> int:
        return min(self.part_bytes, self.size - self.offset(part))

    def write(self, position: int, data: bytes) -> None:
        with room_on_disk():
            descriptor = os.open(self.path, os.O_WRONLY)
            try:
                while data:
                    written = os.pwrite(descriptor, data, position)
                    data, position = data[written:], position + written
            finally:
                os.close(descriptor)
