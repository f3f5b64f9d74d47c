"""Plots as SVG, for the Space's page and as files beside a card: no script, and the intervals are in them.

Colours are attributes, because a Hub serves pictures under a policy that blocks style sheets; on the page, which
follows light and dark, the Space's own style sheet comes before them.
"""

import math
from dataclasses import dataclass
from html import escape

from kira.figures import delta_points, loss_points, number, probe_points

WIDTH = 400  # about a phone's, so that the text in a plot keeps its size there
INK, GROUND = "#17242b", "#ffffff"
COLOURS = {"axis": "#8799a3", "grey": "#6b7c86", "mark": "#0b766b"}
WIDEST = 100.0  # per cent; beyond it an arrow, so that one large change does not squeeze all others


@dataclass(frozen=True)
class Plot:
    """What is drawn: `parts` is SVG in a field of WIDTH x `height`."""

    title: str
    height: int
    parts: str
    caption: str = ""


def picture(plot: Plot) -> str:
    """The plot as a file of its own, with its title, on white so that it reads on any page."""
    margin, head = 14, 34
    wide, tall = WIDTH + 2 * margin, plot.height + head + margin
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{tall}" viewBox="0 0 {wide} {tall}" '
            f'role="img" fill="{INK}" font-family="system-ui, sans-serif" font-size="13">'
            f'<title>{escape(plot.title)}</title><rect width="{wide}" height="{tall}" rx="6" fill="{GROUND}"/>'
            f'<text x="{margin}" y="22" font-weight="600">{escape(plot.title)}</text>'
            f'<g transform="translate({margin} {head})">{plot.parts}</g></svg>\n')


def delta_plot(metrics: dict) -> Plot | None:
    """Each metric's change in per cent of the base's figure, with its interval; None where there is no change."""
    points = delta_points(metrics)
    if not points:
        return None
    limit = min(WIDEST, max(max(abs(p["low"]), abs(p["high"])) for p in points) or 1.0)
    left, right, row = 172, 62, 26

    def x(value):
        return left + (max(-limit, min(limit, value)) + limit) / (2 * limit) * (WIDTH - left - right)

    bottom = row * len(points)
    parts = [f'<line {_paint("axis")} x1="{x(v):.1f}" x2="{x(v):.1f}" y1="0" y2="{bottom}" {dash}/>'
             for v, dash in ((0, ""), (-limit, 'stroke-dasharray="2 4"'), (limit, 'stroke-dasharray="2 4"'))]
    parts += [f'<text x="{x(v):.1f}" y="{bottom + 18}" text-anchor="middle">{per_cent(v)}</text>'
              for v in (-limit, 0, limit)]
    for i, p in enumerate(points):
        y = row * i + row // 2
        parts.append(
            f'<text x="0" y="{y + 4}">{escape(p["metric"])}</text>'
            f'<text x="{WIDTH}" y="{y + 4}" text-anchor="end">{per_cent(p["change"])}</text>'
            f'<g {_paint("mark" if p["significant"] else "grey")}>'
            f'<line x1="{x(p["low"]):.1f}" x2="{x(p["high"]):.1f}" y1="{y}" y2="{y}" stroke-width="2"/>'
            + "".join(_arrow(x(v), y, 1 if v > 0 else -1) for v in (p["low"], p["high"]) if abs(v) > limit)
            + (f'<circle cx="{x(p["change"]):.1f}" cy="{y}" r="4"/>' if abs(p["change"]) <= limit else "") + "</g>")
    return Plot("Change against the base, with 95 % intervals", bottom + 24, "".join(parts),
                "Grey: no significant change. Arrow: beyond the scale. Whether more is better depends on the metric.")


def loss_plot(log: list[dict]) -> Plot | None:
    """Training and validation loss over the steps."""
    return _curves("Loss over training steps", loss_points(log))


def generation_plot(log: list[dict]) -> Plot | None:
    """ROUGE-L of answers to validation rows over the steps, where training measured it."""
    points = probe_points(log)
    return _curves(f"ROUGE-L on {points[-1]['n']} validation rows over training steps",
                   [{"step": p["step"], "value": p["rougeL"], "series": "validation"} for p in points],
                   "Greedy answers to always the same rows, none of them trained on. Step 0 is the base."
                   ) if points else None


def _curves(title: str, points: list[dict], caption: str = "") -> Plot | None:
    """`points`: {"step", "value", "series"}; "training" is grey, all else is marked."""
    points = [p for p in points if math.isfinite(p["value"])]
    if not points:
        return None
    steps, values = [p["step"] for p in points], [p["value"] for p in points]
    left, top, right, bottom = 46, 26, 8, 28
    height = 220 if len({p["series"] for p in points}) > 1 else 150
    wide, tall = (max(steps) - min(steps)) or 1, (max(values) - min(values)) or 1

    def place(p):
        return (f"{left + (p['step'] - min(steps)) / wide * (WIDTH - left - right):.1f},"
                f"{top + (max(values) - p['value']) / tall * (height - top - bottom):.1f}")

    floor = height - bottom
    parts = [f'<line {_paint("axis")} x1="{left}" x2="{left}" y1="{top}" y2="{floor}"/>'
             f'<line {_paint("axis")} x1="{left}" x2="{WIDTH}" y1="{floor}" y2="{floor}"/>'
             f'<text x="0" y="{top + 8}">{number(max(values))}</text>'
             f'<text x="{left}" y="{height - 8}">step {min(steps)}</text>'
             f'<text x="{WIDTH}" y="{height - 8}" text-anchor="end">step {max(steps)}</text>']
    if max(values) > min(values):
        parts.append(f'<text x="0" y="{floor}">{number(min(values))}</text>')
    for i, series in enumerate(dict.fromkeys(p["series"] for p in points)):
        own, kind = [p for p in points if p["series"] == series], "grey" if series == "training" else "mark"
        parts.append(f'<polyline {_paint(kind, fill="none")} stroke-width="2" points="{" ".join(map(place, own))}"/>')
        parts += [f'<circle {_paint(kind)} r="3" cx="{c[0]}" cy="{c[1]}"/>' for c in
                  (place(p).split(",") for p in own)] if len(own) <= 40 else []
        at = left + 110 * i
        parts.append(f'<line {_paint(kind)} stroke-width="2" x1="{at}" x2="{at + 18}" y1="8" y2="8"/>'
                     f'<text x="{at + 24}" y="12">{escape(series)}</text>')
    return Plot(title, height, "".join(parts), caption)


def _paint(kind: str, fill: str = "") -> str:
    return f'class="{kind}" stroke="{COLOURS[kind]}" fill="{fill or COLOURS[kind]}"'


def _arrow(x: float, y: int, way: int) -> str:
    return f'<path d="M{x:.1f} {y - 4} L{x + 6 * way:.1f} {y} L{x:.1f} {y + 4} Z"/>'


def per_cent(value: float) -> str:
    """A change with its sign."""
    return f"{value:+.0f} %".replace("-", "\N{MINUS SIGN}") if round(value) else "0 %"
