"""Figures and plain text as HTML; all that did not come from this file is escaped, so no answer can bring markup."""

from html import escape

from kira import plots
from kira.figures import (
    MEANING,
    comparison_table,
    interval,
    label,
    loss_points,
    number,
    probe_points,
)
from kira.heat_map import heat_map, slice_rows
from kira.safety_delta import safety
from kira.translations import say

READINGS = {"changed": "changed", "better": "better", "worse": "worse", "no significant change": "unchanged"}
COLUMNS = ("base", "tuned", "difference", "interval", "n", "reading")  # keys of kira.translations


def link(url: str, text: str) -> str:
    """A link that opens beside the page; only http addresses become links."""
    if not url.startswith(("https://", "http://")):
        return escape(text)
    return f'<a href="{escape(url, True)}" target="_blank" rel="noopener noreferrer">{escape(text)}</a>'


def table(caption: str, columns, rows, wide: bool = False) -> str:
    """A table in a frame that scrolls by itself on a narrow screen, by keyboard too; `wide`: no line is broken."""
    head = "".join(f'<th scope="col">{escape(c)}</th>' for c in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(c)}</td>" for c in row[1:])}</tr>'
        for row in rows
    )
    kind = "kira-scroll kira-wide" if wide else "kira-scroll"
    return (f'<div class="{kind}" role="region" tabindex="0" aria-label="{escape(caption, True)}">'
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>")


def pane(title: str, text: str, level: int = 2) -> str:
    """A text under its heading, as plain text."""
    heading = f"<h{level}>{escape(title)}</h{level}>"
    return f'<div class="kira-pane">{heading}<p class="kira-plain">{escape(text)}</p></div>'


def side_by_side(panes: list[str]) -> str:
    """Panes beside each other, one below the other on a phone."""
    return f'<div class="kira-panes">{"".join(panes)}</div>'


def marked_pane(title: str, pieces: list[tuple[str, bool]], kind: str) -> str:
    """A `pane` whose pieces that are its own alone stand in elements of that `kind`, "ins" or "del"."""
    text = "".join(f"<{kind}>{escape(piece)}</{kind}>" if own else escape(piece) for piece, own in pieces)
    return f'<div class="kira-pane"><h2>{escape(title)}</h2><p class="kira-plain">{text}</p></div>'


def headline(metrics: dict | None, copy_of: str = "") -> str:
    """The comparison table with how it was measured; `copy_of`: whose figures stand there instead of the model's."""
    nothing = f'<p class="kira-text">{escape(say("no_results"))}</p>'
    if not metrics:
        return nothing
    copied = f'<p class="kira-notice">{escape(say("copy_of", model=copy_of))}</p>'
    run, decoding = metrics["runs"]["tuned"], metrics.get("decoding", {})
    how = say("how_sampled" if decoding.get("do_sample") else "how_greedy", n=run["n"], split=run["split"],
              tokens=decoding.get("max_new_tokens", "?"), precision=metrics.get("precision", "?"))
    rows = [[*row[:-1], say(READINGS[row[-1]])] for row in comparison_table(metrics)]
    return (
        f'{nothing + copied if copy_of else ""}<div class="kira-text"><h2>{escape(say("headline"))}</h2>'
        f'{table(say("headline_caption"), columns("metric", *COLUMNS), rows)}'
        f'<p class="kira-small">{escape(how)} {escape(say("how_read"))} '
        f'<code>{escape(str(metrics.get("command", "?")))}</code></p></div>'
    )


def columns(*keys: str) -> list[str]:
    """The names of a table's columns."""
    return [key if key == "n" else say(key) for key in keys]


def meanings(metrics: dict | None) -> str:
    """What each metric of the table says."""
    if not metrics:
        return ""
    named = [MEANING[name] for name in metrics["runs"]["tuned"]["metrics"] if name in MEANING]
    return '<div class="kira-text" lang="en"><dl>' + "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in named) + "</dl></div>"


def delta_plot(metrics: dict | None) -> str:
    """Each metric's change against the base; the table above has the numbers."""
    return _figure(plots.delta_plot(metrics), say("plot_change")) if metrics else ""


def loss_plot(log: list[dict]) -> str:
    """Loss over the steps with first and last values in a table, and what answers scored meanwhile, where told."""
    points, rows = loss_points(log), []
    for series in dict.fromkeys(p["series"] for p in points):
        own = [p for p in points if p["series"] == series]
        best = min(own, key=lambda p: p["value"])
        rows.append([series.capitalize(), str(len(own)), number(own[0]["value"]), number(own[-1]["value"]),
                     f'{number(best["value"])} at step {best["step"]}'])
    if not rows:
        return ""
    figures = table("Loss figures", ("Loss", "Points", "First", "Last", "Lowest"), rows)
    return (_figure(plots.loss_plot(log), say("plot_loss"))
            + f'<div class="kira-text" lang="en">{figures}{_probe_plot(log)}</div>')


def slices(metrics: dict | None) -> str:
    """What changed for each type and source of questions, its figures folded below."""
    rows = slice_rows(metrics) if metrics else []
    if not rows:
        return ""
    cells = [[f"{r['group']} {r['name']}", label(r["metric"]), number(r["before"]), number(r["after"]),
              number(r["delta"], True), interval(r), str(r["n"]), say(READINGS[reading(r)])] for r in rows]
    figures = table(say("slice_caption"), columns("slice", "metric", *COLUMNS), cells, wide=True)
    return _figure(heat_map(metrics), say("plot_slices")) + folded(say("slice_figures"), figures)


def reading(row: dict) -> str:
    """A `slice_rows` row in words."""
    return ("better" if row["better"] else "worse") if row["significant"] else "no significant change"


def safety_delta(metrics: dict | None) -> str:
    """What fine-tuning changed of what matters most for safety."""
    if not metrics:
        return ""
    rows = [[row["what"].capitalize(), *(["–"] * 5 if row["reading"] == "not measured" else [
        number(row["before"]), number(row["after"]), number(row["delta"], True), interval(row), str(row["n"])]),
        row["reading"]] for row in safety(metrics)]
    names = ("How often it", "Base", "Fine-tuned", "Difference", "95 % interval", "n", "Reading")
    return (f'<div class="kira-text"><h2>{escape(say("safety"))}</h2><div class="kira-text" lang="en">'
            f'{table("What fine-tuning changed of safety", names, rows)}<p class="kira-small">Shares of answers, by '
            "rules on their words and digits. No clinician judged an answer.</p></div></div>")


def folded(summary: str, content: str) -> str:
    """`content` behind a line that opens it, by keyboard too."""
    return f'<details class="kira-text kira-fold"><summary>{escape(summary)}</summary>{content}</details>'


def _probe_plot(log: list[dict]) -> str:
    """ROUGE-L of the answers given during training, and their other scores before and after in a table."""
    points = probe_points(log)
    if not points:
        return ""
    first, last = points[0], points[-1]
    rows = [[label(name), number(first[name]), number(last[name])]
            for name in ("rougeL", "token_f1", "length_ratio", "stop_rate") if name in first and name in last]
    names = ("Score", *(f"Step {p['step']}" for p in (first, last)))
    return _figure(plots.generation_plot(log)) + table("Scores of answers during training", names, rows)


def _figure(plot: plots.Plot | None, title: str = "") -> str:
    """`title`: the plot's own in the visitor's language; what is drawn, and the caption, are English."""
    if plot is None:
        return ""
    title = escape(title or plot.title, True)
    caption = f'<figcaption class="kira-small" lang="en">{escape(plot.caption)}</figcaption>' if plot.caption else ""
    return (f'<figure class="kira-text"><h2>{title}</h2><svg class="kira-plot" '
            f'viewBox="0 0 {plots.WIDTH} {plot.height}" role="img" aria-label="{title}">{plot.parts}'
            f"</svg>{caption}</figure>")


def answer_detail(answer: dict | None) -> str:
    """One test question with reference, both answers and their scores, all as plain text."""
    if not answer:
        return ""
    names = [name for name in ("rouge1", "rouge2", "rougeL", "token_f1", "nll", "tokens") if name in answer["base"]]
    scores = [[label(n) if n in MEANING else {"nll": "Surprise at the reference (nats)", "tokens": "Tokens"}[n],
               *(str(answer[run][n]) if n == "tokens" else number(answer[run][n]) for run in ("base", "tuned"))]
              for n in names]
    source = ", ".join(filter(None, (answer["source"], *answer["references"])))
    return (
        '<div class="kira-text">' + pane(say("question"), answer["question"], 3)
        + pane(say("reference"), answer["reference"], 3)
        + f'<p class="kira-small">{escape(say("source"))} {escape(source or say("not_stated"))} '
        + link(answer["url"], answer["url"]) + "</p>"
        + pane(say("base_model"), answer["base"]["answer"] or say("no_text"), 3)
        + pane(say("fine_tuned"), answer["tuned"]["answer"] or say("no_text"), 3)
        + table(say("scores_question"), columns("score", "base", "tuned"), scores) + "</div>"
    )
