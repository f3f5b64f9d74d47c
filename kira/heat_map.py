"""What changed for each type and source of questions: a cell for each metric, coloured by whether it is better."""

from html import escape

from kira.figures import MEANING, label, other_rows
from kira.plots import COLOURS, WIDTH, Plot, per_cent

GROUPS = ("type", "source")
ROW, LEFT, GAP = 26, 172, 3
FAINTEST, DEEPEST = 0.1, 0.45  # beyond it the figure in a cell would be hard to read
WORSE = "#b7791f"


def slice_rows(metrics: dict) -> list[dict]:
    """`other_rows` from base to fine-tuned of each type and source, with "group", "name", "change" and "better".

    "change" is a share of the base's figure, None where that is 0; "better" tells a change's way, whatever its size.
    """
    rows = []
    for row in other_rows(metrics):
        group, _, name = row["slice"].partition("=")
        if row["runs"] == "base -> tuned" and group in GROUPS:
            less_is_better = "lower is better" in MEANING.get(row["metric"], ("", ""))[1]
            rows.append(row | {"group": group, "name": name, "better": (row["delta"] > 0) != less_is_better,
                               "change": row["delta"] / abs(row["before"]) if row["before"] else None})
    return rows


def heat_map(metrics: dict) -> Plot | None:
    """The cells of `slice_rows`; None where there are none."""
    rows = slice_rows(metrics)
    if not rows:
        return None
    measured = list(dict.fromkeys(row["metric"] for row in rows))
    wide = (WIDTH - LEFT) / len(measured)
    parts = [f'<text x="{LEFT + (i + 0.5) * wide:.1f}" y="16" text-anchor="middle">{escape(label(metric))}</text>'
             for i, metric in enumerate(measured)]
    y = ROW
    for group in dict.fromkeys(row["group"] for row in rows):
        parts.append(f'<text x="0" y="{y + 17}" font-weight="600">By {group}</text>')
        y += ROW
        for name in dict.fromkeys(row["name"] for row in rows if row["group"] == group):
            parts.append(f'<text x="0" y="{y + 17}">{escape(_short(name))}</text>')
            parts += [_cell(row, LEFT + measured.index(row["metric"]) * wide, y, wide)
                      for row in rows if (row["group"], row["name"]) == (group, name)]
            y += ROW
    return Plot("Change by type and source of the question", y, "".join(parts),
                "In per cent of the base's figure; the deeper, the larger. Green: better. Amber: worse. Grey: no "
                "significant change.")


def _cell(row: dict, x: float, y: int, wide: float) -> str:
    change = row["change"]
    kind = "grey" if not row["significant"] or change is None else "mark" if row["better"] else "worse"
    depth = FAINTEST + (DEEPEST - FAINTEST) * min(1, abs(change or 0)) * (kind != "grey")
    colour = COLOURS.get(kind, WORSE)
    return (f'<rect class="cell {kind}" fill="{colour}" fill-opacity="{depth:.2f}" x="{x + GAP:.1f}" y="{y}" '
            f'width="{wide - GAP:.1f}" height="{ROW - GAP}" rx="4"/>'
            f'<text x="{x + (wide + GAP) / 2:.1f}" y="{y + 17}" text-anchor="middle">'
            f'{"–" if change is None else per_cent(100 * change)}</text>')


def _short(name: str) -> str:
    return name if len(name) <= 22 else name[:21] + "…"
