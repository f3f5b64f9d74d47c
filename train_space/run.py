"""The stages in order: prepare, train, evaluate, publish; each is skipped when nothing that it reads has changed.

    python -m train_space run --recipe embedded

Everything lies in one folder per run, RUN = WORK/NAME: data/ train/ evaluation/ publication/ recipe.json stages.json
published.json space.env. Stages talk through these files only, so each can also be run alone.
"""

import tempfile
import time
from pathlib import Path

from kira.errors import UserError
from train_space import processes, stages
from train_space.files import read_json, read_json_lines, sha256, write_json, write_text
from train_space.recipe import Recipe

DATA_FIELDS = ("source", "source_location", "source_revision", "source_licence", "question_column",
               "answer_column", "sample_rows", "max_answer_words",
               "split", "validation_share", "test_share", "split_seed", "max_length", "dataset_repo")
EVALUATION_FIELDS = ("test_rows", "split_seed", "max_new_tokens", "evaluation_batch_size", "bootstrap_resamples",
                     "seed", "evaluation_dtype", "choice_rows", "two_shot_rows", "agreement_rows", "probe_rows")


def run(recipe: Recipe, run_dir: Path, publishes: bool = True) -> dict | None:
    """All stages; returns what was published: {"dataset": {...}, "adapter": {...}}; None without. Raises UserError.

    Of several processes the main one prepares and publishes, all train and measure; the others return None.
    Preparing is not shared: all of MedQuAD, WikiDoc and HPO (45,852 rows) take 18 s.
    """
    def data():
        prepare(recipe, run_dir)
        if publishes:
            publish_dataset(recipe, run_dir)

    processes.main_alone(data)
    train(recipe, run_dir)
    evaluate(recipe, run_dir)
    return processes.main_alone(lambda: publish(recipe, run_dir)) if publishes else None


def prepare(recipe: Recipe, run_dir: Path) -> None:
    """Writes RUN/data: parquet files, manifest and dataset card."""
    from train_space import sources
    from train_space.hub import full_repo_id

    base_revision = resolve_base(recipe, run_dir)
    repo = full_repo_id(recipe.dataset_repo)
    inputs = recipe.digest_fields(*DATA_FIELDS) | {
        "repo": repo, "base_revision": base_revision, "origins": sources.identity(recipe)
    }
    if _skipped(run_dir, "prepare", inputs):
        return
    from transformers import AutoTokenizer

    from train_space import prepare as stage

    with stages.recorded(run_dir, recipe, "prepare", inputs) as learnt:
        tokenizer = AutoTokenizer.from_pretrained(recipe.base_repo, revision=base_revision)
        manifest = stage.prepare(recipe, run_dir / "data", repo, tokenizer)
        learnt |= {"rows": manifest["rows"], "origins": manifest["origins"],
                   "outputs": [p for p in (run_dir / "data").rglob("*") if p.is_file()],
                   "base": {"repo": recipe.base_repo, "revision": base_revision}}


def publish_dataset(recipe: Recipe, run_dir: Path) -> None:
    """One commit with RUN/data, unless the Hub has these files already."""
    from train_space import publish as stage

    digest = sha256(_needed(run_dir / "data" / "manifest.json", "prepare"))
    card = sha256(run_dir / "data" / "README.md")
    published = _published(run_dir)
    entry = published.get("dataset", {})
    if entry.get("manifest") != digest or entry.get("card") != card or not _is_on_hub(entry, "dataset"):
        entry = stage.publish_dataset(recipe, run_dir) | {"manifest": digest, "card": card}
        write_json(run_dir / "published.json", published | {"dataset": entry})
    print(f"dataset    {entry['repo']} at {entry['revision'][:12]}")


def train(recipe: Recipe, run_dir: Path, dry_run: bool = False) -> None:
    """Writes RUN/train: adapter and loss log. Safe under `accelerate launch`: the main process records.

    `dry_run` prints the estimate of a few steps and writes nothing.
    """
    from train_space import train as stage
    from train_space.hub import weight_digests

    base_revision = resolve_base(recipe, run_dir)
    inputs = stage.inputs(recipe, run_dir, base_revision)
    if dry_run:
        with tempfile.TemporaryDirectory() as folder:
            stage.train(recipe, run_dir, base_revision, inputs, dry_run_dir=Path(folder))
        return
    if _skipped(run_dir, "train", inputs):
        return
    stages.forget_peak_memory()
    start = time.perf_counter()
    learnt = stage.train(recipe, run_dir, base_revision, inputs)
    from accelerate import PartialState

    if PartialState().is_main_process:
        files = [p for p in (run_dir / "train" / "adapter").iterdir() if p.is_file()]
        learnt |= {"outputs": [*files, run_dir / "train" / "log.jsonl"],
                   "base": {"repo": recipe.base_repo, "revision": base_revision},
                   "base_weights": weight_digests(recipe.base_repo, base_revision)}
        stages.record(run_dir, recipe, "train", inputs, learnt, time.perf_counter() - start)


def evaluate(recipe: Recipe, run_dir: Path, command: str = "") -> None:
    """Writes RUN/evaluation: metrics.json and answers.jsonl on the test split."""
    adapter = _needed(run_dir / "train" / "adapter" / "adapter_model.safetensors", "train")
    split, shown = (run_dir / "data" / "data" / f"{name}-00000-of-00001.parquet" for name in ("test", "train"))
    if not split.is_file():
        raise UserError("This run has no test split to measure on; set test_share above 0 in its recipe.")
    inputs = recipe.digest_fields(*EVALUATION_FIELDS) | {
        "adapter_sha256": sha256(adapter), "split_sha256": sha256(split), "train_split_sha256": sha256(shown),
        "base_revision": resolve_base(recipe, run_dir), **_probe_digests(recipe),
    }
    if _skipped(run_dir, "evaluate", inputs):
        return
    from datasets import Dataset

    from train_space import evaluate as stage

    with stages.recorded(run_dir, recipe, "evaluate", inputs) as learnt:
        rows = stage.draw(Dataset.from_parquet(str(split), keep_in_memory=True).to_list(), recipe.test_rows,
                          recipe.split_seed)
        train_rows = Dataset.from_parquet(str(shown), keep_in_memory=True).to_list() if recipe.two_shot_rows else []
        learnt["outputs"] = measure(
            recipe, str(adapter.parent), rows, run_dir / "evaluation" / "metrics.json", split="test",
            command=command or f"python -m train_space evaluate --recipe {recipe.name}", train_rows=train_rows,
            known={k: inputs[k] for k in inputs if k not in EVALUATION_FIELDS})


def measure(recipe: Recipe, adapter: str, rows: list[dict], out: Path, *, split: str, command: str,
            known: dict, train_rows: list[dict] = ()) -> list[Path]:
    """Loads the adapter (folder or Hub id) on its base, measures it on `rows` and probes; returns the files written.

    Processes share the answers and likelihoods; the main one makes figures of them and writes.

    metrics.json, answers.jsonl, and probe_answers.jsonl where there are probes. `train_rows`: for the two-shot base.
    """
    from train_space import evaluate as stage
    from train_space import probing

    model, tokenizer, base, base_revision = stage.load_model(adapter, dtype=recipe.evaluation_dtype)
    decoding = stage.Decoding(recipe.max_new_tokens, recipe.evaluation_batch_size)
    extent = stage.Extent(recipe.choice_rows, recipe.two_shot_rows, recipe.agreement_rows)
    answers = stage.scored_answers(model, tokenizer, rows, decoding, recipe.split_seed, extent, train_rows)
    probed = probing.scored_answers(model, tokenizer, probing.load(recipe.probe_rows), decoding)
    if not processes.is_main():
        return []
    result = stage.compare(answers, [row["answer"] for row in rows], recipe.bootstrap_resamples, recipe.seed, probed)
    base = f"{base}@{base_revision}"
    return stage.write(
        out, result, answers, probed, model={"base": base, "base_two_shot": base, "tuned": recipe.adapter_repo},
        inputs=known, decoding=decoding, precision=str(model.dtype).removeprefix("torch."), split=split,
        seed=recipe.seed, command=command,
    )


def evaluate_file(recipe: Recipe, adapter: str, data: Path, out: Path) -> None:
    """Measures any adapter on any JSON Lines of {"question", "answer"}; answers.jsonl lies beside `out`."""
    if not data.is_file():
        raise UserError(f"There is no file {data}; name JSON Lines of {{\"question\", \"answer\"}}.")
    rows = read_json_lines(data)
    if not rows:
        raise UserError(f"{data} is empty; give one {{\"question\", \"answer\"}} a line.")
    for number, row in enumerate(rows, 1):
        if not all(isinstance(row.get(key), str) and row[key].strip() for key in ("question", "answer")):
            raise UserError(f"{data}, row {number} lacks a question or an answer; both are text that is not empty.")
        row.setdefault("id", f"row-{number}")
    command = f"python -m train_space evaluate --adapter {Path(adapter).name} --data {data.name} --out {out.name}"
    weights = Path(adapter) / "adapter_model.safetensors"
    known = {"split_sha256": sha256(data)} | ({"adapter_sha256": sha256(weights)} if weights.is_file() else {})
    known |= _probe_digests(recipe)
    measure(recipe, adapter, rows, out, split=data.name, command=command, known=known)


def publish(recipe: Recipe, run_dir: Path) -> dict:
    """One commit with adapter, manifest, metrics and card, then a tag; a repetition changes nothing."""
    from train_space import cards, safety_bar
    from train_space import publish as stage

    _needed(run_dir / "evaluation" / "metrics.json", "evaluate")
    publish_dataset(recipe, run_dir)
    published = _published(run_dir)
    record = read_json(run_dir / "recipe.json")
    record["dataset"] = {k: published["dataset"][k] for k in ("repo", "revision")}
    write_json(run_dir / "recipe.json", record)
    inputs = {"recipe": sha256(run_dir / "recipe.json"), "metrics": sha256(run_dir / "evaluation" / "metrics.json"),
              "adapter_repo": recipe.adapter_repo, "card": cards.made_by(), "safety": sha256(safety_bar.REPORT)}
    entry = published.get("adapter", {})
    if entry.get("inputs") != inputs or not _is_on_hub(entry, "model"):
        entry = stage.publish_adapter(recipe, run_dir) | {"inputs": inputs}
        published["adapter"] = entry
        write_json(run_dir / "published.json", published)
        write_text(run_dir / "space.env", stage.space_variables(entry["repo"], entry["revision"]))
    print(f"adapter    {entry['repo']} at {entry['revision'][:12]}, tag {entry['tag']}")
    return published


def resolve_base(recipe: Recipe, run_dir: Path) -> str:
    """Commit sha of the base: the recorded one of this run, else what the Hub says now."""
    from train_space import embedded
    from train_space.hub import resolve

    if recipe.base_repo == embedded.REPO:
        embedded.ensure_base_published()
    path = run_dir / "recipe.json"
    base = read_json(path).get("base", {}) if path.is_file() else {}
    if base.get("repo") == recipe.base_repo and not recipe.base_revision:
        return base["revision"]
    return resolve(recipe.base_repo, recipe.base_revision)


def _probe_digests(recipe: Recipe) -> dict:
    from train_space import probing

    return {f"{path.stem}_probe_sha256": sha256(path) for path in probing.files()} if recipe.probe_rows else {}


def _skipped(run_dir: Path, stage: str, inputs: dict) -> bool:
    done = stages.is_done(run_dir, stage, inputs)
    if processes.is_main():
        print(f"{stage:<10} {'unchanged, skipped' if done else '...'}", flush=True)
    return done


def _published(run_dir: Path) -> dict:
    path = run_dir / "published.json"
    return read_json(path) if path.is_file() else {}


def _is_on_hub(entry: dict, repo_type: str) -> bool:
    from huggingface_hub import HfApi

    from train_space.hub import hub_errors

    with hub_errors(f"look for {entry.get('repo')}"):
        return bool(entry) and HfApi().revision_exists(entry["repo"], entry["revision"], repo_type=repo_type)


def _needed(path: Path, stage: str) -> Path:
    if not path.is_file():
        raise UserError(f"{path} is not there; run `python -m train_space {stage}` first.")
    return path
