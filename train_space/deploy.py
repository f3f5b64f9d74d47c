"""Both Spaces on the Hub, made or brought up to date: the public one serves a published run, the other trains.

    python -m train_space deploy OWNER/kira --recipe tuned      (the training Space is OWNER/kira-training)

Each gets one commit, and none when nothing changed. Whatever else its owner has set there stays.
"""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from kira.errors import UserError
from kira.settings import PREFIX, Settings, from_environment
from train_space import staging
from train_space.files import read_json
from train_space.hub import full_repo_id, hub_errors
from train_space.staging import Pinned, Served

FROM_THE_RUN = ("adapter_repo", "adapter_revision", "base_repo", "base_revision")
VOTES = f"{PREFIX}VOTES_REPO"


@dataclass(frozen=True)
class Space:
    """A Space as it shall be. `secrets` are given only where it has none of that name yet."""

    repo: str
    files: dict[str, bytes] = field(repr=False)
    variables: dict[str, str]
    secrets: dict[str, str] = field(repr=False)
    hardware: str  # to be asked for; empty: what it has
    first_hardware: str  # when it is made


def deploy(repo: str, run_dir: Path, hardware: str = "", training_hardware: str = "", dry_run: bool = False,
           environment: Mapping[str, str] = os.environ) -> None:
    """Stages both Spaces and sends what differs; `dry_run` only says what they would be.

    KIRA_* variables of `environment` go to the public Space, other than those that the run decides. Raises UserError.
    """
    served = published(run_dir)
    repo = full_repo_id(repo)
    variables, secrets = _passed_on(environment)
    base = {f"{PREFIX}BASE_REPO": served.base.repo}
    variables |= base | {f"{PREFIX}BASE_REVISION": served.base.revision, f"{PREFIX}ADAPTER_REPO": served.adapter.repo,
                         f"{PREFIX}ADAPTER_REVISION": served.adapter.revision}
    if _needs_token(repo, served, variables):
        secrets["HF_TOKEN"] = _token()
    spaces = (Space(repo, staging.main_space(served), variables, secrets, hardware, "zero-a10g"),
              Space(f"{repo}-training", staging.training_space(), base, {}, training_hardware, "cpu-basic"))
    if changed := staging.left_out():
        print(f"left out   {len(changed)} file(s) that differ from the last commit: {', '.join(changed[:5])}"
              f"{' ...' if len(changed) > 5 else ''}")
    for space in spaces:
        if dry_run:
            _tell(space)
        else:
            print(f"deployed   {space.repo} at {_send(space)[:12]}")


def published(run_dir: Path) -> Served:
    """Adapter, base and split of the run in this folder, each at the commit that the Hub has. Raises UserError."""
    from huggingface_hub import hf_hub_download

    path = run_dir / "space.env"
    if not path.is_file():
        raise UserError(f"There is no published run in {run_dir}; `python -m train_space run` or `release` makes one.")
    run = dict(line.split("=", 1) for line in shlex.split(path.read_text("utf-8")))
    adapter = _pinned(run[f"{PREFIX}ADAPTER_REPO"], run[f"{PREFIX}ADAPTER_REVISION"])
    with hub_errors(f"read the manifest of {adapter.repo}"):
        manifest = read_json(Path(hf_hub_download(adapter.repo, "manifest.json", revision=adapter.revision)))
    base, dataset = manifest["base"], manifest.get("dataset")
    return Served(adapter, _pinned(base["repo"], base["revision"]),
                  _pinned(dataset["repo"], dataset["revision"], "dataset") if _is_there(dataset) else None)


def _is_there(dataset: dict | None) -> bool:
    """A released adapter's split need not be on every Hub; the Space then shows no test answers."""
    from huggingface_hub import HfApi

    if not dataset:
        return False
    with hub_errors(f"look for {dataset['repo']}"):
        return HfApi().revision_exists(dataset["repo"], dataset["revision"], repo_type="dataset")


def _pinned(repo: str, revision: str, repo_type: str = "model") -> Pinned:
    from huggingface_hub import HfApi

    with hub_errors(f"find {repo} at {revision[:12]}"):
        info = HfApi().repo_info(repo, revision=revision, repo_type=repo_type)
    return Pinned(repo, info.sha, tuple(file.rfilename for file in info.siblings), not info.private and not info.gated)


def _passed_on(environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """(variables, secrets) among the settings that the environment has. Raises UserError for one out of range."""
    from_environment(environment)
    variables, secrets = {}, {}
    for f in fields(Settings):
        name = PREFIX + f.name.upper()
        if f.name not in FROM_THE_RUN and environment.get(name):
            (secrets if f.metadata["secret"] else variables)[name] = environment[name]
    return variables, secrets


def _needs_token(repo: str, served: Served, variables: dict[str, str]) -> bool:
    """A Space holds no token without need: only to keep votes, or to read what is not open to everyone."""
    from huggingface_hub import HfApi

    if VOTES in variables or not all(part.is_open for part in (served.adapter, served.base, served.dataset) if part):
        return True
    with hub_errors(f"look at {repo}"):
        return HfApi().repo_exists(repo, repo_type="space") and VOTES in HfApi().get_space_variables(repo)


def _token() -> str:
    from huggingface_hub import get_token

    if not (found := get_token()):
        raise UserError("The Space needs a token to keep votes or to read its models; set HF_TOKEN.")
    return found


def _send(space: Space) -> str:
    """Sha of the Space's head once it is as it shall be."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi()
    with hub_errors(f"deploy {space.repo}"):
        if not api.repo_exists(space.repo, repo_type="space"):
            # Asked for at once: a free account may make a Space on ZeroGPU, but none on a plain CPU.
            api.create_repo(space.repo, repo_type="space", space_sdk="gradio",
                            space_hardware=space.hardware or space.first_hardware)
        _set_up(api, space)
        head = api.repo_info(space.repo, repo_type="space").sha
        gone = set(api.list_repo_files(space.repo, repo_type="space", revision=head)) - {*space.files, ".gitattributes"}
        operations = [CommitOperationDelete(name) for name in sorted(gone)]
        operations += [CommitOperationAdd(name, content) for name, content in sorted(space.files.items())]
        # The client itself leaves out files that are there already, and makes no commit of nothing.
        api.create_commit(space.repo, operations, commit_message=f"Deploy {staging.commit()[:12]}", repo_type="space",
                          parent_commit=head)
        return api.repo_info(space.repo, repo_type="space").sha


def _set_up(api, space: Space) -> None:
    """Hardware, variables and secrets, before the commit that starts the Space; only what differs, as each restarts it.
    """
    runtime = api.get_space_runtime(space.repo)
    if space.hardware and space.hardware != (runtime.requested_hardware or runtime.hardware):
        api.request_space_hardware(space.repo, space.hardware)
    known = api.get_space_variables(space.repo)
    for name, value in space.variables.items():
        if name not in known or known[name].value != value:
            api.add_space_variable(space.repo, name, value)
    if space.secrets:
        there = api.get_space_secrets(space.repo)
        for name in space.secrets.keys() - there.keys():
            api.add_space_secret(space.repo, name, space.secrets[name])


def _tell(space: Space) -> None:
    size = sum(map(len, space.files.values())) / 1e6
    print(f"would send {len(space.files)} files, {size:.1f} MB, to the Space {space.repo}:")
    print("\n".join(sorted(space.files)))
    print(f"hardware   {space.hardware or f'{space.first_hardware} if it is new, else what it has'}")
    for name, value in sorted(space.variables.items()):
        print(f"variable   {name}={value}")
    for name in sorted(space.secrets):
        print(f"secret     {name}, unless the Space has one")
