"""Files that are either the old or the new ones, whatever moment the machine stops at."""

import csv
import errno
import hashlib
import io
import json
import os
from contextlib import contextmanager
from pathlib import Path

from kira.errors import UserError


def is_disk_full(error: BaseException) -> bool:
    """The error, or one that it came from, says that a file could not grow: disk, quota or file size limit.

    safetensors and torch write natively and raise errors of their own, known by their text.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        if any(text in str(error) for text in ("No space left", "File too large", "PytorchStreamWriter failed")):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def replacing(path: Path):
    """A temporary path beside `path`; on success it is synced and renamed over it, on failure removed.

    Raises UserError when the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if is_disk_full(error):
            raise UserError(f"The disk is full: {path} was not written; free some space and run this again.") from None
        raise
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the rename itself
    finally:
        os.close(directory)


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by `text` in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def write_json(path: Path, value) -> None:
    """Replaces `path` by `value` as indented JSON; NaN and infinity are refused (they are not JSON)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_json_lines(path: Path, rows) -> None:
    """Replaces `path` by one JSON object a line."""
    write_text(path, "".join(json.dumps(r, ensure_ascii=False, allow_nan=False) + "\n" for r in rows))


def read_json(path: Path):
    """The value in `path`."""
    return json.loads(path.read_text("utf-8"))


def read_json_lines(path: Path) -> list[dict]:
    """One object per line; raises UserError that names the number of a broken line."""
    rows = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise UserError(f"{path}, line {number} is not a JSON object; mend or remove it.")
            rows.append(row)
    return rows


def write_csv(path: Path, rows: list[dict]) -> None:
    """Replaces `path` by a table of the rows, which have the same keys: its columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a table whose first line names the columns."""
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def sha256(path: Path) -> str:
    """Hex digest of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
