"""What each Space is made of: files of the last commit, so that nothing unfinished or private is among them."""

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from kira.artifacts import PATTERNS
from kira.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
MAIN = ("app.py", "kira", "requirements.txt", "README.md", "LICENSE", "release", "results")
# The texts made the classifiers in kira/data; no training reads them.
TRAINING = ("kira", "train_space", ":!train_space/texts", "recipes", "requirements.txt", "LICENSE", "dataset_card.md",
            "model_card.md", "CITATION.cff", "results/safety.json")


@dataclass(frozen=True)
class Pinned:
    """A repository of the Hub at the commit that was resolved there."""

    repo: str
    revision: str
    files: tuple[str, ...]
    is_open: bool  # to everyone: neither private nor gated


@dataclass(frozen=True)
class Served:
    """What the public Space answers with."""

    adapter: Pinned
    base: Pinned
    dataset: Pinned | None


def main_space(served: Served, root: Path = ROOT) -> dict[str, bytes]:
    """{path: content} of the public Space; its front matter names what it serves. Raises UserError."""
    files = committed(MAIN, root)
    models = [served.base, served.adapter]
    files["README.md"] = with_front_matter(files["README.md"], {
        "models": [model.repo for model in models],
        "datasets": [served.dataset.repo] if served.dataset else [],
        "preload_from_hub": [_preloaded(model) for model in models if model.is_open],
    })
    return files


def training_space(root: Path = ROOT) -> dict[str, bytes]:
    """{path: content} of the training Space. Raises UserError."""
    files = committed(TRAINING, root)
    files["app.py"] = files.pop("train_space/space_entry.py")
    files["README.md"] = files.pop("train_space/README.md")
    files["requirements.txt"] += b"\n" + files.pop("train_space/requirements.txt")
    return files


def committed(paths: tuple[str, ...], root: Path) -> dict[str, bytes]:
    """{path: content} of these files and folders at the checkout's last commit. Raises UserError."""
    packed = _git(root, "archive", "--format=tar", "HEAD", "--", *paths)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}


def left_out(root: Path = ROOT) -> list[str]:
    """Files of either Space that differ from the last commit, or that git was not yet told of."""
    listed = _git(root, "status", "--porcelain", "-z", "--no-renames", "--", *MAIN, *TRAINING)
    return sorted(line[3:] for line in listed.decode("utf-8", "replace").split("\0") if line)


def commit(root: Path = ROOT) -> str:
    """Sha of the checkout's last commit. Raises UserError."""
    return _git(root, "rev-parse", "HEAD").decode().strip()


def _git(root: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True)
    except OSError:
        raise UserError("deploy sends what was committed, and needs git for that; install it.") from None
    if done.returncode:
        raise UserError(f"{root} is no git checkout with a commit of Kira's; deploy sends only what was committed.")
    return done.stdout


def with_front_matter(readme: bytes, changes: dict) -> bytes:
    """`readme` with these fields of its front matter set; one that is set to nothing is left out."""
    front, body = readme.decode().removeprefix("---\n").split("\n---\n", 1)
    fields = {name: value for name, value in (yaml.safe_load(front) | changes).items() if value}
    text = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=10_000)
    return f"---\n{text}---\n{body}".encode()


def _preloaded(model: Pinned) -> str:
    """The Hub's notation for what it puts into the image: those files of the model that the Space fetches."""
    wanted = [name for name in model.files if "/" not in name and any(name.endswith(p[1:]) for p in PATTERNS)]
    return f"{model.repo} {','.join(sorted(wanted))} {model.revision}"
