"""What the stages ask of the Hub, and one sentence for each way it can fail."""

from contextlib import contextmanager
from pathlib import Path

from kira.errors import UserError
from train_space.files import sha256


@contextmanager
def hub_errors(doing: str):
    """Turns the Hub's failures while `doing` (such as "publish kira/adapter") into a UserError that says what to do."""
    import httpx2
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except (httpx2.TransportError, LocalEntryNotFoundError, ConnectionError):
        raise UserError(
            f"Could not {doing}: the Hub at {constants.ENDPOINT} does not answer; check the connection, then repeat."
        ) from None
    except GatedRepoError:
        raise UserError(f"Could not {doing}: the repository is gated; accept its terms on the Hub first.") from None
    except RevisionNotFoundError:
        raise UserError(f"Could not {doing}: the repository has no such revision.") from None
    except RepositoryNotFoundError:
        raise UserError(
            f"Could not {doing}: the Hub at {constants.ENDPOINT} has no such repository, or your token may not see it."
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        raise UserError(f"Could not {doing}: {_advice(status, error)}") from None


def _advice(status: int, error) -> str:
    if status == 401:
        return "no valid token; set HF_TOKEN to a token with write access."
    if status == 403:
        return "your token may not write there; use a token of that owner with write access, or another repository."
    if status == 412:
        return "the repository moved on meanwhile; look at what changed there, then run this again."
    if status == 507:
        return "the Hub's disk is full; free some space there and run this again."
    text = (error.server_message or str(error)).splitlines()[0]
    return f"the Hub answered {status}: {text}"


def resolve(repo: str, revision: str = "", repo_type: str = "model") -> str:
    """Commit sha that `revision` (empty: the head) of `repo` stands for now. Raises UserError."""
    from huggingface_hub import HfApi

    with hub_errors(f"find {repo}" + (f" at {revision}" if revision else "")):
        return HfApi().repo_info(repo, revision=revision or None, repo_type=repo_type).sha


def weight_digests(repo: str, revision: str) -> dict[str, str]:
    """{name: sha256} of the weight files of a model that was loaded at this commit: of the very bytes in the cache."""
    from huggingface_hub import snapshot_download

    folder = snapshot_download(repo, revision=revision, allow_patterns="*.safetensors", local_files_only=True)
    return {path.name: sha256(path) for path in sorted(Path(folder).glob("*.safetensors"))}


def full_repo_id(repo: str) -> str:
    """`repo`, with the token's user as owner when it names none. Raises UserError without a token."""
    if "/" in repo:
        return repo
    from huggingface_hub import HfApi, get_token

    if not get_token():
        raise UserError(f"No token to publish {repo} with; set HF_TOKEN to a token with write access.")
    with hub_errors("ask the Hub whose token this is"):
        return f"{HfApi().whoami()['name']}/{repo}"
