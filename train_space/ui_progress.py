"""What a run is doing, as HTML: one sentence, a bar, live plots, the comparison with the base, and where it ended."""

import json
import re
from html import escape

from kira import views
from train_space.files import read_json
from train_space.ui_machine import ESTIMATE, PUBLISH, TRAIN, Run

STAGE_WORDS = {"prepare": "Cleaning and splitting the rows", "train": "Training",
               "evaluate": "Answering the test questions with base and fine-tuned model"}


def sentence(run: Run | None) -> str:
    """Where the run stands, for eyes and screen readers."""
    if run is None or not run.doing:
        return "Nothing is running."
    if run.ended == "failed":
        return run.complaint()
    if run.ended == "cancelled":
        return "Cancelled. Resume goes on from the last complete checkpoint; discard removes everything."
    if run.ended:
        return {ESTIMATE: "The estimate is made. Train when you like it.",
                TRAIN: "Trained and measured on questions that it never saw. Nothing is published yet.",
                PUBLISH: "Published. The uploaded rows were removed from this machine."}[run.doing]
    if run.doing == PUBLISH:
        return "Publishing …"
    stage = run.stage()
    words = "Trying three steps" if run.doing == ESTIMATE and stage != "prepare" else STAGE_WORDS[stage]
    return f"{words} …"


def log_of(run: Run) -> list[dict]:
    """What training logged; a line that is being written is left out."""
    path = run.run_dir / "train" / "log.jsonl"
    found = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def share_done(run: Run, log: list[dict]) -> float:
    """Of training, by the rows that it has passed over."""
    last = max((entry.get("epoch", 0.0) for entry in log), default=0.0)
    return min(1.0, last / run.recipe.epochs)


def shown(run: Run | None) -> str:
    """All that the page shows of the run."""
    look = "kira-notice" if run and run.ended == "failed" else "kira-disclaimer"
    line = f'<p class="{look}" role="status">{escape(sentence(run))}</p>'
    if run is None or run.recipe is None or not run.doing:
        return f'<div class="kira-text">{line}</div>'
    parts = [line, _estimate(run), _resumed(run)]
    if run.doing != ESTIMATE:
        parts += _training(run)
    if run.published:
        parts.insert(1, _links(run.published))
    return f'<div class="kira-text">{"".join(parts)}</div>'


def _estimate(run: Run) -> str:
    """The line of train_space/estimate.py."""
    made = re.findall(r"^estimate +(.*)$", run.output(), re.MULTILINE)
    return f'<p class="kira-small">Estimate for this machine: {escape(made[-1])}.</p>' if made else ""


def _resumed(run: Run) -> str:
    """The line of train_space/train.py."""
    made = re.findall(r"^Resuming from step (\d+),", run.output(), re.MULTILINE)
    return f'<p class="kira-small">Resumed from step {made[-1]}, the last whole checkpoint.</p>' if made else ""


def _training(run: Run) -> list[str]:
    parts = []
    log = log_of(run) if run.ended or run.doing == PUBLISH or run.stage() != "prepare" else []
    if run.is_running and run.doing == TRAIN and run.stage() == "train":
        done = share_done(run, log)
        parts.append(f'<p><progress class="kira-bar" max="100" value="{done * 100:.0f}" '
                     f'aria-label="Training done"></progress> {done:.0%}</p>')
    metrics = run.run_dir / "evaluation" / "metrics.json"
    if run.ended == "done" and metrics.is_file():
        figures = read_json(metrics)
        parts += [views.headline(figures), views.delta_plot(figures)]
    return [*parts, views.loss_plot(log)]


def _links(published: dict) -> str:
    """The clear end: what was made, where it is, and how a Space serves it."""
    from huggingface_hub import constants

    dataset, adapter = published["dataset"], published["adapter"]
    addresses = [("Adapter and card", f"{constants.ENDPOINT}/{adapter['repo']}/tree/{adapter['tag']}"),
                 ("Dataset", f"{constants.ENDPOINT}/datasets/{dataset['repo']}")]
    items = "".join(f"<li>{escape(what)}: {views.link(url, url)}</li>" for what, url in addresses)
    serve = f"KIRA_ADAPTER_REPO={adapter['repo']}\nKIRA_ADAPTER_REVISION={adapter['revision']}"
    return (f"<h2>Yours on the Hub</h2><ul>{items}</ul><p>A Space of Kira answers with it when these two variables are "
            f'set:</p><pre class="kira-plain">{escape(serve)}</pre>')
