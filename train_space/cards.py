"""The model card and its plots, made of the published files and the test rows' texts alone.

There is no clock time and no state of the Hub in it, so the same files give the same card, and `verify` can make it
again.
"""

import hashlib
from pathlib import Path

import yaml

from kira import figures, plots, prompt, safety_delta, safety_report
from kira.safety_delta import difference, safety
from train_space import doses, failures, licences, safety_bar, template
from train_space.files import read_json, read_json_lines, write_text

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE, CITATION = ROOT / "model_card.md", ROOT / "CITATION.cff"
FORGOTTEN = 0.05  # a rise of general perplexity above which the card opens with it


def draw_plots(stage: Path) -> dict[str, str]:
    """{file name: SVG} of the plots that the files in `stage` give."""
    log = read_json_lines(stage / "training_log.jsonl")
    drawn = {"deltas.svg": plots.delta_plot(read_json(stage / "metrics.json")), "loss.svg": plots.loss_plot(log),
             "generation.svg": plots.generation_plot(log)}
    return {name: plots.picture(plot) for name, plot in drawn.items() if plot}


def write_plots(stage: Path) -> None:
    """Puts the plots into `stage`."""
    for name, text in draw_plots(stage).items():
        write_text(stage / name, text)


def render_card(stage: Path, rows: dict[str, dict]) -> str:
    """Text of the model card; every number in it comes from the files in `stage`. `rows`: test rows by id.

    Of these it quotes those whose ids begin with one of what manifest.json's "card" has under "quotes".
    """
    metrics, manifest, record, earlier = (read_json(stage / f"{n}.json") for n in (
        "metrics", "manifest", "recipe", "releases"))
    answers, repo, report = quoted(stage, manifest), manifest["card"]["repo"], read_json(stage / safety_bar.NAME)
    help_now = stage / safety_bar.HELP_NOW.name
    return template.render(
        TEMPLATE, front_matter=card_data(repo, metrics, manifest, record).to_yaml(),
        repo=repo, metrics=metrics, manifest=manifest, record=record, recipe=record["recipe"], earlier=earlier,
        rows=figures.comparison_rows(metrics), others=figures.other_rows(metrics), training=record["stages"]["train"],
        retention=retention(metrics), safety=safety(metrics), quoted=len(answers),
        triage=safety_report.safety_rows(report), report=report, below_the_bar=safety_report.below_the_bar(report),
        least_recall=safety_report.LEAST_RECALL, help_now=read_json(help_now) if help_now.is_file() else None,
        failures=failures.failures(answers, rows),
        licences=licences.licences(repo, record), plots=[p.name for p in sorted(stage.glob("*.svg"))],
        origins=record["stages"]["prepare"]["origins"], citation=yaml.safe_load(CITATION.read_text("utf-8")),
        system_prompt=prompt.SYSTEM_PROMPT,
    )


def quoted(stage: Path, manifest: dict) -> list[dict]:
    """Those of answers.jsonl that the card may show beside their question and reference."""
    begin = tuple(manifest["card"]["quotes"])
    return [answer for answer in read_json_lines(stage / "answers.jsonl") if answer["id"].startswith(begin)]


def made_by() -> str:
    """Digest of what a card is made with: for a card made with something else there is no saying what it should be."""
    digest = hashlib.sha256()
    for path in (TEMPLATE, CITATION, *(Path(module.__file__) for module in (
            figures, plots, prompt, safety_delta, safety_report, doses, failures, licences, template)),
                 Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def retention(metrics: dict) -> dict | None:
    """What became of perplexity on general questions: an `other_rows` row with "change", "change_low", "change_high"
    as shares of the base's, and "forgotten"; None where no probe measured it."""
    row = difference(metrics, "probe=general", "perplexity")
    if row is None:
        return None
    change, low, high = (row[key] / row["before"] for key in ("delta", "low", "high"))
    return row | {"change": change, "change_low": low, "change_high": high, "forgotten": change > FORGOTTEN}


def card_data(repo: str, metrics: dict, manifest: dict, record: dict):
    """Front matter of the model card, model-index with the tuned model's figures included."""
    from huggingface_hub import EvalResult, ModelCardData

    run, dataset, recipe = metrics["runs"]["tuned"], manifest["dataset"], record["recipe"]
    results = [
        EvalResult(
            task_type="text-generation", dataset_type=dataset["repo"], dataset_name=dataset["repo"],
            dataset_split=run["split"], dataset_revision=dataset["revision"], metric_type=_metric_type(name),
            metric_name=name, metric_value=value,
        )
        for name, value in run["metrics"].items()
    ]
    return ModelCardData(
        model_name=repo.split("/")[-1], eval_results=results, base_model=manifest["base"]["repo"],
        base_model_relation="adapter", library_name="peft", pipeline_tag="text-generation",
        license=recipe["adapter_licence"], language=["en"], datasets=[dataset["repo"]],
        metrics=["rouge", "perplexity"], tags=["lora", "peft", "trl", "sft", "medical"],
    )


def _metric_type(name: str) -> str:
    return "rouge" if name.startswith("rouge") else name
