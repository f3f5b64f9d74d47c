"""Figures and plain text as HTML; all that did not come from this file is escaped, so no answer can bring markup.

Plots are drawn here as SVG: they follow the page's colours, need no script, and show the intervals.
"""

from html import escape

from kira.figures import (
    COMPARISON_COLUMNS,
    MEANING,
    comparison_table,
    delta_points,
    label,
    loss_points,
    number,
    probe_points,
)

NOTHING = '<p class="kira-text">There are no published results for the model that answers here.</p>'
WIDTH = 400  # about a phone's, so that the text in a plot keeps its size there


def link(url: str, text: str) -> str:
    """A link that opens beside the page; only http addresses become links."""
    if not url.startswith(("https://", "http://")):
        return escape(text)
    return f'<a href="{escape(url, True)}" target="_blank" rel="noopener noreferrer">{escape(text)}</a>'


def table(caption: str, columns, rows) -> str:
    """A table in a frame that scrolls by itself on a narrow screen, by keyboard too."""
    head = "".join(f'<th scope="col">{escape(c)}</th>' for c in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(c)}</td>" for c in row[1:])}</tr>'
        for row in rows
    )
    return (f'<div class="kira-scroll" role="region" tabindex="0" aria-label="{escape(caption, True)}">'
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>")


def pane(title: str, text: str, level: int = 2) -> str:
    """A text under its heading, as plain text."""
    heading = f"<h{level}>{escape(title)}</h{level}>"
    return f'<div class="kira-pane">{heading}<p class="kira-plain">{escape(text)}</p></div>'


def headline(metrics: dict | None) -> str:
    """The comparison table with how it was measured."""
    if not metrics:
        return NOTHING
    run, decoding = metrics["runs"]["tuned"], metrics.get("decoding", {})
    how = "greedy" if not decoding.get("do_sample") else "sampled"
    return (
        '<div class="kira-text"><h2>Base and fine-tuned on the same unseen questions</h2>'
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
    """Each metric's change in per cent of the base's figure, with its interval; the table above has the numbers."""
    points = delta_points(metrics) if metrics else []
    if not points:
        return ""
    low, high = min(0, *(p["low"] for p in points)), max(0, *(p["high"] for p in points))
    left, right, row = 112, 12, 30
    span = (high - low) or 1

    def x(value):
        return left + (value - low) / span * (WIDTH - left - right)

    height = row * len(points) + 30
    parts = [f'<line class="axis" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="0" y2="{height - 24}"/>']
    parts += [f'<text x="{x(v):.1f}" y="{height - 6}" text-anchor="{anchor}">{v:+.0f} %</text>'
              for v, anchor in ((low, "start"), (high, "end")) if v]
    parts.append(f'<text x="{x(0):.1f}" y="{height - 6}" text-anchor="middle">0</text>')
    for i, p in enumerate(points):
        y, kind = row * i + row / 2, "mark" if p["significant"] else "grey"
        parts.append(
            f'<text x="0" y="{y + 4}">{escape(p["metric"])}</text><g class="{kind}">'
            f'<line x1="{x(p["low"]):.1f}" x2="{x(p["high"]):.1f}" y1="{y}" y2="{y}" stroke-width="2"/>'
            f'<circle cx="{x(p["change"]):.1f}" cy="{y}" r="5"/></g>')
    return _figure("Change against the base in per cent, with 95 % intervals", height, parts,
                   "Grey: no significant change. Whether more is better depends on the metric; see their meaning.")


def loss_plot(log: list[dict]) -> str:
    """Loss over the steps with first and last values in a table, and what answers scored meanwhile, where told."""
    points = loss_points(log)
    if not points:
        return ""
    curves, rows = [], []
    for series, kind in (("training", "grey"), ("validation", "mark")):
        own = [(p["step"], p["loss"]) for p in points if p["series"] == series]
        if not own:
            continue
        curves.append((kind, own))
        best = min(own, key=lambda p: p[1])
        rows.append([series.capitalize(), str(len(own)), number(own[0][1]), number(own[-1][1]),
                     f"{number(best[1])} at step {best[0]}"])
    return (_curves("Loss over training steps", 220, curves, "Grey: training. Green: validation.")
            + table("Loss figures", ("Loss", "Points", "First", "Last", "Lowest"), rows) + _probe_plot(log))


def _probe_plot(log: list[dict]) -> str:
    """ROUGE-L of the answers given during training, and their other scores before and after in a table."""
    points = probe_points(log)
    if not points:
        return ""
    first, last = points[0], points[-1]
    rows = [[label(name), number(first[name]), number(last[name])]
            for name in ("rougeL", "token_f1", "length_ratio", "stop_rate") if name in first and name in last]
    columns = ("Score", *(f"Step {p['step']}" for p in (first, last)))
    return (_curves(f"ROUGE-L on {last['n']} validation rows over training steps", 150,
                    [("mark", [(p["step"], p["rougeL"]) for p in points])],
                    "Greedy answers to always the same rows, none of them trained on. Step 0 is the base.")
            + table("Scores of answers during training", columns, rows))


def _curves(title: str, height: float, curves: list[tuple[str, list]], caption: str) -> str:
    """A figure of lines through (step, value) points, each of a kind: "mark" or "grey"."""
    steps, values = ([p[axis] for _, points in curves for p in points] for axis in (0, 1))
    left, top, right, bottom = 46, 12, 8, 28
    wide, tall = (max(steps) - min(steps)) or 1, (max(values) - min(values)) or 1

    def place(step, value):
        return (f"{left + (step - min(steps)) / wide * (WIDTH - left - right):.1f}",
                f"{top + (max(values) - value) / tall * (height - top - bottom):.1f}")

    parts = [f'<line class="axis" x1="{left}" x2="{left}" y1="{top}" y2="{height - bottom}"/>'
             f'<line class="axis" x1="{left}" x2="{WIDTH}" y1="{height - bottom}" y2="{height - bottom}"/>'
             f'<text x="0" y="{top + 8}">{number(max(values))}</text>'
             f'<text x="0" y="{height - bottom}">{number(min(values))}</text>'
             f'<text x="{left}" y="{height - 8}">step {min(steps)}</text>'
             f'<text x="{WIDTH}" y="{height - 8}" text-anchor="end">step {max(steps)}</text>']
    for kind, points in curves:
        places = [place(*p) for p in points]
        parts.append(f'<polyline class="{kind}" stroke-width="2" points="{" ".join(map(",".join, places))}"/>')
        if len(points) <= 40:
            parts += [f'<circle class="{kind}" r="3" cx="{x}" cy="{y}"/>' for x, y in places]
    return _figure(title, height, parts, caption)


def _figure(title: str, height: float, parts: list[str], caption: str) -> str:
    return (f'<figure class="kira-text"><h2>{escape(title)}</h2><svg class="kira-plot" viewBox="0 0 {WIDTH} {height}" '
            f'role="img" aria-label="{escape(title, True)}">{"".join(parts)}</svg>'
            f'<figcaption class="kira-small">{escape(caption)}</figcaption></figure>')


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
