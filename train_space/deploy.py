"""The public Space on the Hub: a copy of what it needs, in one commit, and none when nothing changed."""

import subprocess
from pathlib import Path

from kira.errors import UserError
from train_space.hub import full_repo_id, hub_errors

ROOT = Path(__file__).resolve().parent.parent
STAGED = ("app.py", "kira", "requirements.txt", "README.md", "LICENSE", "release", "results")


def staged_files(root: Path = ROOT) -> list[str]:
    """Paths that the Space is made of: those that git tracks, so that nothing private lies among them."""
    listed = subprocess.run(["git", "ls-files", "-z", "--", *STAGED], cwd=root, capture_output=True, text=True)
    if listed.returncode or not listed.stdout:
        raise UserError(f"{root} is no git checkout; deploy sends only files that git tracks.")
    return sorted(listed.stdout.rstrip("\0").split("\0"))


def deploy(repo: str, dry_run: bool = False) -> str:
    """Creates the Space `repo` or brings it up to date; the sha of its head, empty after a dry run."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    files = staged_files()
    if dry_run:
        size = sum((ROOT / name).stat().st_size for name in files)
        print(f"would send {len(files)} files, {size / 1e6:.1f} MB, to the Space {repo}:")
        print("\n".join(files))
        return ""
    repo = full_repo_id(repo)
    api = HfApi()
    with hub_errors(f"deploy {repo}"):
        api.create_repo(repo, repo_type="space", space_sdk="gradio", exist_ok=True)
        head = api.repo_info(repo, repo_type="space").sha
        gone = set(api.list_repo_files(repo, repo_type="space", revision=head)) - {*files, ".gitattributes"}
        operations = [CommitOperationDelete(name) for name in sorted(gone)]
        operations += [CommitOperationAdd(name, ROOT / name) for name in files]
        # The client itself leaves out files that are there already, and makes no commit of nothing.
        api.create_commit(repo, operations, commit_message="Deploy", repo_type="space", parent_commit=head)
        return api.repo_info(repo, repo_type="space").sha
