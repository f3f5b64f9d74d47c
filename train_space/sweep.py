"""Many runs from one file, and the tables that compare them.

    python -m train_space sweep recipes/sweeps/embedded.yaml

The file names a `recipe`, fields to `set` in all runs, `seeds`, the `runs` (label: fields; `recipe` and `seeds` of its
own among them) and the label `against` which the others are held; runs on another split are held against the first one
on it. Each run and seed has a folder WORK/SWEEP/LABEL-SEED and keeps its recipe.json, metrics.json and scores.csv (each
test row's scores, no text) in RESULTS/runs/SWEEP/LABEL-SEED; while that holds the same recipe, the run is not made
again. From these folders alone, and so of the runs that are made already, come

- RESULTS/experiment_tracking.csv: a row a run and seed, no empty cell;
- RESULTS/model_comparison.csv: a row a label and metric: mean and standard deviation over the seeds, the difference
  from the base and from the reference, and how many times the reference's gain over the base its own is, each with its
  95 % interval;
- RESULTS/training_config.json: the recipe of the label with the lowest mean validation loss on the split of `against`.

Several machines or GPUs share the work by `--only LABEL`.
"""

import dataclasses
import shutil
import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from kira.errors import UserError
from train_space import recipe as recipes
from train_space import run as pipeline
from train_space.files import read_csv, read_json, read_json_lines, write_csv, write_json
from train_space.recipe import Recipe
from train_space.statistics import interval, paired_difference

FIELDS = {"recipe", "set", "seeds", "against", "runs"}
SETTINGS = ("base_repo", "source", "split", "quantization", "lora_r", "lora_alpha", "lora_dropout", "target_modules",
            "learning_rate", "epochs", "batch_size", "gradient_accumulation_steps", "max_length", "seed")
METRICS = {"rougeL": lambda sums: sums[..., 0] / sums[..., 1],  # of sums over rows; see `_columns`
           "perplexity": lambda sums: np.exp(sums[..., 2] / sums[..., 3])}


@dataclass(frozen=True)
class Sweep:
    """`runs`: label -> one recipe for each seed."""

    name: str
    against: str
    runs: dict[str, list[Recipe]]


def load(path: Path, overrides: dict[str, str] | None = None) -> Sweep:
    """The sweep of the file, with `overrides` (field -> YAML text) on top of every run.

    Raises UserError for a file that is missing, broken, or has an unknown field, label or value.
    """
    if not path.is_file():
        raise UserError(f"There is no sweep {path}; name a YAML file such as recipes/sweeps/embedded.yaml.")
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"The sweep {path.name} is not valid YAML: {str(error).splitlines()[0]}.") from None
    if not isinstance(found, dict) or not isinstance(found.get("runs"), dict) or set(found) - FIELDS:
        raise UserError(f"The sweep {path.name} takes {', '.join(sorted(FIELDS))}; see train_space/sweep.py.")
    runs = {}
    for label, fields in found["runs"].items():
        values = {"recipe": found.get("recipe"), **(found.get("set") or {}), **(fields or {})}
        preset, seeds = values.pop("recipe") or "tuned", values.pop("seeds", None) or found.get("seeds") or [42]
        texts = {key: yaml.safe_dump(value).removesuffix("...\n").strip() for key, value in values.items()}
        texts |= overrides or {}
        runs[label] = [recipes.load(preset, texts | {"name": f"{label}-{seed}", "seed": str(seed)}) for seed in seeds]
    against = found.get("against") or next(iter(runs))
    if against not in runs:
        raise UserError(f"The sweep {path.name} holds its runs against {against!r}, which is none of them.")
    return Sweep(path.stem, against, runs)


def sweep(path: Path, work: Path, results: Path, only: list[str] = (), overrides: dict[str, str] | None = None) -> None:
    """Makes every run that is not done yet (those labelled `only`, where named), then the tables. Raises UserError."""
    plan = load(path, overrides)
    unknown = [label for label in only if label not in plan.runs]
    if unknown:
        raise UserError(f"The sweep {path.name} has no run {unknown[0]!r}; it has {', '.join(plan.runs)}.")
    prepared = {_split_of(r): folder for made in plan.runs.values() for r in made
                if ((folder := work / plan.name / r.name) / "stages.json").is_file()}
    for label, made in plan.runs.items():
        for recipe in made if label in only or not only else []:
            kept, run_dir = _kept(plan, results, recipe), work / plan.name / recipe.name
            if _is_made(kept, recipe):
                print(f"{plan.name}/{recipe.name} is in {results}")
                continue
            key = _split_of(recipe)
            if key in prepared and not run_dir.exists():
                _take_data(prepared[key], run_dir)
            print(f"\n{plan.name}/{recipe.name}")
            pipeline.prepare(recipe, run_dir)
            prepared.setdefault(key, run_dir)
            pipeline.train(recipe, run_dir)
            pipeline.evaluate(recipe, run_dir)
            write_csv(kept / "scores.csv", [
                _scores(answer) for answer in read_json_lines(run_dir / "evaluation" / "answers.jsonl")])
            write_json(kept / "metrics.json", read_json(run_dir / "evaluation" / "metrics.json"))
            write_json(kept / "recipe.json", read_json(run_dir / "recipe.json"))  # the last: what it says is all there
    write_tables(plan, results)


def _kept(plan: Sweep, results: Path, recipe: Recipe) -> Path:
    return results / "runs" / plan.name / recipe.name


def _is_made(kept: Path, recipe: Recipe) -> bool:
    path = kept / "recipe.json"
    return path.is_file() and Recipe(**read_json(path)["recipe"]) == recipe


def _split_of(recipe: Recipe) -> tuple:
    """Equal for recipes whose runs have the same rows on the same sides."""
    return tuple(recipe.digest_fields(*pipeline.DATA_FIELDS, "base_repo").items())


def _take_data(source: Path, run_dir: Path) -> None:
    """The split that another run prepared from the same fields, with what it recorded of it."""
    shutil.copytree(source / "data", run_dir / "data")
    done, record = read_json(source / "stages.json"), read_json(source / "recipe.json")
    write_json(run_dir / "stages.json", {"prepare": done["prepare"]})
    write_json(run_dir / "recipe.json", record | {"stages": {"prepare": record["stages"]["prepare"]}})


def write_tables(plan: Sweep, results: Path) -> None:
    """The three files in `results`, of the runs made so far; see the module's docstring."""
    planned = [r for made in plan.runs.values() for r in made]
    kept = {r.name: folder for r in planned if _is_made(folder := _kept(plan, results, r), r)}
    if len(kept) < len(planned):
        missing = [r.name for r in planned if r.name not in kept]
        print(f"\n{len(missing)} of {len(planned)} runs are still to be made, {missing[0]} the first.")
    made_so_far = {label: found for label, made in plan.runs.items() if (found := [r for r in made if r.name in kept])}
    records, metrics = ({name: read_json(folder / file) for name, folder in kept.items()}
                        for file in ("recipe.json", "metrics.json"))
    write_csv(results / "experiment_tracking.csv", [
        _tracked(plan.name, label, recipe, records[recipe.name], metrics[recipe.name])
        for label, made in made_so_far.items() for recipe in made])
    write_csv(results / "model_comparison.csv", _compared(made_so_far, plan.against, kept, metrics))
    split = _split_of(plan.runs[plan.against][0])
    losses = {label: statistics.fmean(records[r.name]["stages"]["train"]["best_validation_loss"] for r in made)
              for label, made in made_so_far.items() if _split_of(made[0]) == split}
    if not losses:
        return
    best = min(losses, key=losses.__getitem__)
    recipe = dataclasses.asdict(plan.runs[best][0])
    write_json(results / "training_config.json", {
        "sweep": plan.name, "label": best, "mean_validation_loss": losses[best], "seeds": len(made_so_far[best]),
        "recipe": {k: v for k, v in recipe.items() if k not in ("name", "seed")}})


def _tracked(sweep_name: str, label: str, recipe: Recipe, record: dict, metrics: dict) -> dict:
    learnt, hardware = record["stages"]["train"], record["hardware"]
    runs = {run: metrics["runs"][run]["metrics"] for run in ("base", "tuned")}
    memory = learnt["peak_memory_mb"]
    return {
        "sweep": sweep_name, "label": label, **recipe.digest_fields(*SETTINGS),
        "train_rows": learnt["train_rows"], "test_rows": metrics["runs"]["tuned"]["n"], "steps": learnt["steps"],
        "train_loss": learnt["train_loss"], "validation_loss": learnt["best_validation_loss"],
        **{f"{run}_{name}": round(runs[run][name], 4) for name in ("rougeL", "perplexity") for run in runs},
        "training_time_s": learnt["training_time_s"], "peak_memory_mb": memory.get("gpu", memory["resident"]),
        "tokens_per_s": learnt["tokens_per_s"],
        "cost_usd": learnt["cost_usd"] if learnt["cost_usd"] is not None else "no price stated",
        "usd_per_hour": recipe.usd_per_hour or "no price stated",
        "energy_wh": learnt["energy_wh"] if learnt["energy_wh"] is not None else "not reported",
        "machine": (hardware.get("gpu") or [f"{hardware['cpu']}, {hardware['cores']} cores"])[0],
        "code_commit": record["code_commit"] or "no checkout",
    }


def _compared(runs: dict[str, list[Recipe]], against: str, kept: dict[str, Path], metrics: dict) -> list[dict]:
    """Rows of model_comparison.csv. A test row's score is its mean over the seeds; intervals are over test rows."""
    splits = {}
    for label, made in runs.items():
        splits.setdefault(_split_of(made[0]), []).append(label)
    table = []
    for labels in splits.values():
        columns = {label: _columns([kept[r.name] for r in runs[label]]) for label in labels}
        if any(ids != columns[labels[0]][0] for ids, _ in columns.values()):
            raise UserError("Runs on one split were measured on different rows; give them one test_rows.")
        reference = against if against in labels else labels[0]
        for label in labels:
            recipe = runs[label][0]
            scores = [metrics[r.name]["runs"]["tuned"]["metrics"] for r in runs[label]]
            for metric in METRICS:
                of = [score[metric] for score in scores]
                table.append({
                    "label": label, "split": recipe.split, "metric": metric, "n": len(columns[label][0]),
                    "seeds": len(of), "mean": round(statistics.fmean(of), 4),
                    "standard_deviation": round(statistics.stdev(of), 4) if len(of) > 1 else "one seed",
                    **_differences(metric, columns[label][1], columns[reference][1], recipe),
                    "reference": reference})
    return table


def _differences(metric: str, runs: dict, reference: dict, recipe: Recipe) -> dict:
    """`runs`, `reference`: {"base", "tuned"}: (rows, 4) of rougeL, 1, NLL, tokens."""
    value, draws = METRICS[metric], (recipe.bootstrap_resamples, recipe.split_seed)
    row = {}
    for name, other in (("from_base", runs["base"]), ("from_reference", reference["tuned"])):
        gap = paired_difference(other, runs["tuned"], value, *draws)
        row |= {name: gap["value"], **{f"{name}_{k}": gap[k] for k in ("low", "high", "p")}}

    def gain_ratio(sums):
        base, tuned, base_of_reference, tuned_reference = (value(part) for part in np.split(sums, 4, axis=-1))
        return (tuned - base) / (tuned_reference - base_of_reference)

    gained = paired_difference(reference["base"], reference["tuned"], value, *draws)
    if gained["low"] <= 0 <= gained["high"]:
        ratio = dict.fromkeys(("value", "low", "high"), "the reference has no significant gain")
    else:
        ratio = interval(np.hstack([runs["base"], runs["tuned"], reference["base"], reference["tuned"]]), gain_ratio,
                         *draws)
    row |= {"gain_ratio": ratio["value"], "gain_ratio_low": ratio["low"], "gain_ratio_high": ratio["high"]}
    return {key: value if isinstance(value, str) else round(value, 4) for key, value in row.items()}


def _scores(answer: dict) -> dict:
    """A row of scores.csv."""
    return {"id": answer["id"], **{f"{run}_{name}": round(answer[run][name], 6)
                                   for run in ("base", "tuned") for name in ("rougeL", "nll")},
            "reference_tokens": answer["reference_tokens"]}


def _columns(folders: list[Path]):
    """(row ids, {run: (rows, 4) of rougeL, 1, NLL, tokens}), means over the seeds, which have a folder each."""
    each = [read_csv(folder / "scores.csv") for folder in folders]
    ids = [row["id"] for row in each[0]]
    if any([row["id"] for row in rows] != ids for rows in each):
        raise UserError("The seeds of one label were measured on different rows; give them one split_seed.")
    return ids, {run: np.mean([[[float(row[f"{run}_rougeL"]), 1, float(row[f"{run}_nll"]),
                                 float(row["reference_tokens"])] for row in rows] for rows in each], axis=0)
                 for run in ("base", "tuned")}
