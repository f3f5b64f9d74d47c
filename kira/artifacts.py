"""What was published, pulled from the Hub at one commit and checked before anything of it is used.

The shas in manifest.json guard against corruption, the commit sha against tampering. A file that can run code when
it is read (a pickle, a script) is never downloaded.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from kira.errors import UserError
from kira.settings import Settings
from kira.vocabulary import FILE as VOCABULARY
from kira.vocabulary import Vocabulary

CONFIGURATION = ["*.json", "*.jinja"]  # tokenizer included
PATTERNS = ["*.safetensors", "*.jsonl", "*.svg", "README.md", *CONFIGURATION]  # svg: the manifest covers the plots
NEEDED = ("adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "tokenizer_config.json")
SPLIT = "data/test-00000-of-00001.parquet"
SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Source:
    """A model repository at one commit, and the local folder that holds its files."""

    repo: str
    revision: str
    folder: Path

    @property
    def name(self) -> str:
        """`repo@sha`: which model it is, exactly."""
        return f"{self.repo}@{self.revision}"


@dataclass(frozen=True)
class Published:
    """An adapter that passed every check, with the base that it belongs to."""

    adapter: Source
    base: Source
    manifest: dict


@dataclass(frozen=True)
class Results:
    """What was measured: metrics.json, the training log, and answers.jsonl joined with the test rows' texts.

    `bundled`: not from the Hub but a copy that ships with this repository, of a model that may not be the one here.
    """

    repo: str = ""
    revision: str = ""
    metrics: dict | None = None
    log: list[dict] = field(default_factory=list)
    answers: list[dict] = field(default_factory=list)
    bundled: bool = False


def fetch_published(settings: Settings) -> Published:
    """The configured adapter with its base, verified. Raises UserError with the reason why it cannot be used."""
    adapter = fetch(settings.adapter_repo, settings.adapter_revision, settings.hub_timeout_s)
    manifest = verify(adapter)
    return Published(adapter, fetch_base(manifest["base"]["repo"], manifest["base"]["revision"], settings), manifest)


def fetch_beside(first: Published, run: str, timeout_s: float) -> Published:
    """A further adapter, REPOSITORY or REPOSITORY@REVISION, verified. Raises UserError, also if its base is not the
    first one's."""
    repo, _, revision = run.partition("@")
    adapter = fetch(repo, revision, timeout_s)
    manifest = verify(adapter)
    base, own = manifest["base"], first.manifest["base"]
    if (base["repo"], base["revision"]) != (own["repo"], own["revision"]):
        raise UserError(f"it was trained on {base['repo']} at {base['revision'][:12]}, the first on {own['repo']} at "
                        f"{own['revision'][:12]}, and two adapters side by side need one base.")
    return Published(adapter, first.base, manifest)


def fetch_base(repo: str, revision: str, settings: Settings) -> Source:
    """A base; without its weights where an inference server has them. Raises UserError."""
    return fetch(repo, revision, settings.hub_timeout_s, CONFIGURATION if settings.inference_url else PATTERNS)


def fetch(repo: str, revision: str, timeout_s: float, patterns=PATTERNS) -> Source:
    """Downloads what `patterns` allow of the commit that `revision` (empty: the head) stands for at this moment.

    A full sha in the cache needs no network; any other revision falls back on what it stood for last time when the
    Hub does not answer. Raises UserError.
    """
    from huggingface_hub import resolve_revision, snapshot_download

    with hub_requests(repo, revision, timeout_s):
        commit = resolve_revision(repo, revision=revision or None)
        folder = snapshot_download(repo, revision=commit, allow_patterns=patterns, ignore_patterns=["*/*"])
    return Source(repo, Path(folder).name, Path(folder))


def verify(adapter: Source) -> dict:
    """The manifest of an adapter whose files match it. Raises UserError that names what does not."""
    manifest = _manifest(adapter)
    for name, expected in manifest["files"].items():
        path = adapter.folder / name
        if Path(name).name != name or not path.is_file():
            raise UserError(f"{adapter.repo} lacks the file {name} that its manifest names.")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise UserError(f"The file {name} of {adapter.repo} does not match its manifest; it is damaged.")
    config = json.loads((adapter.folder / "adapter_config.json").read_text("utf-8"))
    base = manifest["base"]
    if config.get("base_model_name_or_path") != base["repo"] or config.get("revision") not in (None, base["revision"]):
        raise UserError(f"The adapter {adapter.repo} names another base in its configuration than in its manifest.")
    if config.get("peft_type") != "LORA" or config.get("use_dora"):
        raise UserError(f"The adapter {adapter.repo} is not a plain LoRA, so base and adapter cannot share one batch.")
    _verify_tensors(adapter, manifest["tensors"])
    return manifest


def _manifest(adapter: Source) -> dict:
    try:
        manifest = json.loads((adapter.folder / "manifest.json").read_text("utf-8"))
        base, files = manifest["base"], manifest["files"]
        dataset = manifest.get("dataset") or base
        known = manifest["schema"] == 1 and isinstance(manifest["tensors"], dict) and isinstance(files, dict)
        sound = known and all(isinstance(each["repo"], str) and SHA.fullmatch(each["revision"])
                              for each in (base, dataset))
    except FileNotFoundError:
        raise UserError(f"{adapter.repo} has no manifest.json; it was not published by Kira.") from None
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise UserError(f"The manifest.json of {adapter.repo} cannot be read.")
    missing = [name for name in NEEDED if name not in files]
    if missing:
        raise UserError(f"The manifest.json of {adapter.repo} does not cover {missing[0]}.")
    return manifest


def _verify_tensors(adapter: Source, shapes: dict) -> None:
    """Names, shapes and finite values: a NaN loads without a word and turns every answer into noise."""
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(adapter.folder / "adapter_model.safetensors", framework="pt") as weights:
            if {name: list(weights.get_slice(name).get_shape()) for name in weights.keys()} != shapes:  # noqa: SIM118
                raise UserError(f"The weights of {adapter.repo} have other tensors than its manifest lists.")
            for name in shapes:
                if not torch.isfinite(weights.get_tensor(name)).all():
                    raise UserError(f"The weights of {adapter.repo} hold values that are not finite numbers.")
    except SafetensorError:
        raise UserError(f"The weights of {adapter.repo} cannot be read; the file is damaged.") from None


def read_vocabulary(published: Published) -> Vocabulary | None:
    """Words of what the adapter learnt from; None where its repository does not have them."""
    path = published.adapter.folder / VOCABULARY
    return Vocabulary.from_json(json.loads(path.read_text("utf-8"))) if path.is_file() else None


def read_results(published: Published, timeout_s: float) -> Results:
    """Everything that the Results tab shows; without the test rows (dataset out of reach), no answers."""
    adapter = published.adapter
    path = adapter.folder / "metrics.json"
    if not path.is_file():
        return Results(adapter.repo, adapter.revision)
    answers = read_json_lines(adapter.folder / "answers.jsonl")
    dataset = published.manifest.get("dataset")
    return Results(
        adapter.repo, adapter.revision, json.loads(path.read_text("utf-8")),
        read_json_lines(adapter.folder / "training_log.jsonl"),
        _with_texts(answers, dataset, timeout_s) if answers and dataset else [],
    )


def fetch_split(dataset: dict, timeout_s: float) -> Path:
    """The test split of `dataset` ({"repo", "revision"}) as a parquet file. Raises UserError."""
    from huggingface_hub import hf_hub_download

    with hub_requests(dataset["repo"], dataset["revision"], timeout_s):
        return Path(hf_hub_download(dataset["repo"], SPLIT, repo_type="dataset", revision=dataset["revision"]))


def _with_texts(answers: list[dict], dataset: dict, timeout_s: float) -> list[dict]:
    import pyarrow.parquet

    from kira.figures import answer_rows

    try:
        path = fetch_split(dataset, timeout_s)
    except UserError:
        return []
    return answer_rows(answers, {row["id"]: row for row in pyarrow.parquet.read_table(path).to_pylist()})


def read_json_lines(path: Path) -> list[dict]:
    """One object a line; none of a file that is not there."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


class hub_requests:
    """Gives Hub requests a timeout (the client has none), and turns their failures into one sentence."""

    def __init__(self, repo: str, revision: str, timeout_s: float):
        self.what = repo + (f" at {revision[:12]}" if revision else "")
        self.timeout_s = timeout_s

    def __enter__(self):
        import httpx2
        from huggingface_hub import constants, set_client_factory
        from huggingface_hub.utils._http import default_client_factory

        def limit(request):  # a hook, because some calls switch the client's own timeout off
            request.extensions["timeout"] = httpx2.Timeout(self.timeout_s).as_dict()

        def client_with_timeout():
            client = default_client_factory()
            client.event_hooks = client.event_hooks | {"request": [*client.event_hooks["request"], limit]}
            return client

        set_client_factory(client_with_timeout)
        constants.HF_HUB_ETAG_TIMEOUT = constants.HF_HUB_DOWNLOAD_TIMEOUT = self.timeout_s

    def __exit__(self, kind, error, trace):
        import httpx2
        from huggingface_hub import constants
        from huggingface_hub.errors import (
            EntryNotFoundError,
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
            RevisionResolutionError,
        )

        reasons = (
            (HFValidationError, "that is not a repository id of the Hub"),
            ((LocalEntryNotFoundError, RevisionResolutionError), f"the Hub at {constants.ENDPOINT} does not answer"),
            ((GatedRepoError, RepositoryNotFoundError), "there is no such repository, or no access to it"),
            (RevisionNotFoundError, "the repository has no such revision"),
            (EntryNotFoundError, "a file is missing there"),
            ((httpx2.TransportError, HfHubHTTPError, OSError), f"the Hub at {constants.ENDPOINT} does not answer"),
        )
        for kinds, reason in reasons:
            if isinstance(error, kinds):
                raise UserError(f"{self.what} could not be fetched: {reason}.") from None
