"""Which names are allowed for repos, branches and files; the rules are the Hub's."""

import re

from localhub.errors import Invalid, InvalidPath

REPO_NAME = re.compile(r"(?!.*(--|\.\.|\.git$|\.ipynb$))[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
REF_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^[./-]|[./]$|^@$")
COMMIT_ID = re.compile(r"[0-9a-f]{40}")


def check_repo_id(repo_id: str) -> None:
    parts = repo_id.split("/")
    if len(parts) != 2 or not all(map(REPO_NAME.fullmatch, parts)):
        raise Invalid(
            f"Invalid repo name: {repo_id}. Up to 96 letters, digits, '-', '_' and '.' are allowed; "
            "'--' and '..' are not, nor '-' or '.' at an end, nor the endings .git and .ipynb."
        )


def check_branch(name: str) -> None:
    if COMMIT_ID.fullmatch(name):
        raise Invalid("Invalid reference for a branch: it looks like a commit id")
    if REF_FORBIDDEN.search(name) or name.startswith("refs/") or not name or len(name) > 200:
        raise Invalid(f"Invalid reference for a branch: {name}")


def check_tag(name: str) -> None:
    if REF_FORBIDDEN.search(name) or name.startswith("refs/") or not name or len(name) > 200:
        raise Invalid(f"Invalid reference for a tag: {name}")


def check_path(path: object) -> str:
    """File paths are keys of a manifest, never opened; yet clients write them to disk, so only harmless ones pass."""
    if not isinstance(path, str) or not path or len(path.encode("utf-8", "replace")) > 4096:
        raise InvalidPath("A file needs a path of 1 to 4096 bytes")
    segments = path.split("/")
    if CONTROL.search(path) or "\\" in path or any(s in ("", ".", "..") or s.lower() == ".git" for s in segments):
        raise InvalidPath(f"Invalid path in repo: {path!r}")
    if any(len(segment.encode("utf-8", "replace")) > 255 for segment in segments):
        raise InvalidPath("A part of a path in repo is longer than 255 bytes")
    return path
