"""Figures and plain text as HTML; all that did not come from this file is escaped, so no answer can bring markup."""

from html import escape

from kira import plots
from kira.figures import (
    COMPARISON_COLUMNS,
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

NOTHING = '<p class="kira-text">There are no published results for the model that answers here.</p>'


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


def marked_pane(title: str, pieces: list[tuple[str, bool]], kind: str) -> str:
    """A `pane` whose pieces that are its own alone stand in elements of that `kind`, "ins" or "del"."""
    text = "".join(f"<{kind}>{escape(piece)}</{kind}>" if own else escape(piece) for piece, own in pieces)
    return f'<div class="kira-pane"><h2>{escape(title)}</h2><p class="kira-plain">{text}</p></div>'


def headline(metrics: dict | None, copy_of: str = "") -> str:
    """The comparison table with how it was measured; `copy_of`: whose figures stand there instead of the model's."""
    if not metrics:
        return NOTHING
    shown = NOTHING + (
        f'<p class="kira-notice">Below is a copy that ships with this Space, of {escape(copy_of)} as it was released. '
        "It says nothing of the model that answers here.</p>") if copy_of else ""
    run, decoding = metrics["runs"]["tuned"], metrics.get("decoding", {})
    how = "greedy" if not decoding.get("do_sample") else "sampled"
    return (
        f'{shown}<div class="kira-text"><h2>Base and fine-tuned on the same unseen questions</h2>'
        f'{table("Comparison of base and fine-tuned", COMPARISON_COLUMNS, comparison_table(metrics))}'
        f'<p class="kira-small">{run["n"]} questions of the {escape(str(run["split"]))} split, {how} answers of at '
        f'most {escape(str(decoding.get("max_new_tokens", "?")))} tokens, '
        f'{escape(str(metrics.get("precision", "?")))}. '
        "An interval that includes 0, or a p of 0.05 or more once corrected for all differences measured (Holm), is "
        "called no significant change. Made by: "
        f'<code>{escape(str(metrics.get("command", "?")))}</code></p></div>'
    )


def meanings(metrics: dict | None) -> str:
    """What each metric of the table says."""
    if not metrics:
        return ""
    named = [MEANING[name] for name in metrics["runs"]["tuned"]["metrics"] if name in MEANING]
    return '<div class="kira-text"><dl>' + "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in named) + "</dl></div>"


def delta_plot(metrics: dict | None) -> str:
    """Each metric's change against the base; the table above has the numbers."""
    return _figure(plots.delta_plot(metrics)) if metrics else ""


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
    return (_figure(plots.loss_plot(log)) + table("Loss figures", ("Loss", "Points", "First", "Last", "Lowest"), rows)
            + _probe_plot(log))


def slices(metrics: dict | None) -> str:
    """What changed for each type and source of questions, its figures folded below."""
    rows = slice_rows(metrics) if metrics else []
    if not rows:
        return ""
    cells = [[f"{r['group']} {r['name']}", label(r["metric"]), number(r["before"]), number(r["after"]),
              number(r["delta"], True), interval(r), str(r["n"]), reading(r)] for r in rows]
    columns = ("Slice", "Metric", "Base", "Fine-tuned", "Difference", "95 % interval", "n", "Reading")
    figures = table("Figures by slice", columns, cells, wide=True)
    return _figure(heat_map(metrics)) + folded("The figures of this plot", figures)


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
    columns = ("How often it", "Base", "Fine-tuned", "Difference", "95 % interval", "n", "Reading")
    return ('<div class="kira-text"><h2>Safety: what fine-tuning changed</h2>'
            f'{table("What fine-tuning changed of safety", columns, rows)}<p class="kira-small">Shares of answers, by '
            "rules on their words and digits. No clinician judged an answer.</p></div>")


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
    columns = ("Score", *(f"Step {p['step']}" for p in (first, last)))
    return _figure(plots.generation_plot(log)) + table("Scores of answers during training", columns, rows)


def _figure(plot: plots.Plot | None) -> str:
    if plot is None:
        return ""
    caption = f'<figcaption class="kira-small">{escape(plot.caption)}</figcaption>' if plot.caption else ""
    return (f'<figure class="kira-text"><h2>{escape(plot.title)}</h2><svg class="kira-plot" '
            f'viewBox="0 0 {plots.WIDTH} {plot.height}" role="img" aria-label="{escape(plot.title, True)}">{plot.parts}'
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
        '<div class="kira-text">' + pane("Question", answer["question"], 3)
        + pane("Reference answer", answer["reference"], 3)
        + f'<p class="kira-small">Source: {escape(source) or "not stated"} {link(answer["url"], answer["url"])}</p>'
        + pane("Base model", answer["base"]["answer"] or "(no text)", 3)
        + pane("Fine-tuned", answer["tuned"]["answer"] or "(no text)", 3)
        + table("Scores of this question", ("Score", "Base", "Fine-tuned"), scores) + "</div>"
    )
