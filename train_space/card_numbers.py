"""Whether a model card shows the figures that it should: one edited digit is found."""

import re
from itertools import zip_longest
from pathlib import Path

from kira.errors import UserError
from train_space import cards
from train_space.recompute import equal

COLUMNS = ("base", "tuned", "delta", "low", "high", "p_holm", "n")
FENCE = re.compile("```+")
NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


def check_card(card: str, rows: list[dict]) -> int:
    """How many numbers of `card` were compared with `rows` (`comparison_rows`). Raises UserError for the first lie.

    Every table line that begins with a metric's name counts, whatever else the card holds.
    """
    from huggingface_hub import ModelCard

    truth = {row["metric"]: row for row in rows}
    shown, compared = set(), 0
    for line in card.splitlines():
        name, *cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if name not in truth or not line.lstrip().startswith("|"):
            continue
        row, numbers = truth[name], NUMBER.findall(" ".join(cells))
        right = [_like(said, row[key]) for key, said in zip(COLUMNS, numbers, strict=False)]
        if numbers != right or len(numbers) != len(COLUMNS):
            raise UserError(f"README.md's table says {name} {', '.join(numbers)}; it is {', '.join(right)}.")
        if ("no significant change" in line) == row["significant"]:
            raise UserError(f"README.md's table says of {name} that its change is "
                            f"{'not ' if row['significant'] else ''}significant, against its interval.")
        shown.add(name)
        compared += len(numbers)
    results = {}
    for result in ModelCard(card).data.eval_results or []:
        name, value = result.metric_name, result.metric_value
        if name not in truth or not equal(value, truth[name]["tuned"]):
            raise UserError(f"README.md's model-index says {name} {value}; it is {truth.get(name, {}).get('tuned')}.")
        results[name] = value
    if missing := sorted(truth.keys() - (shown & results.keys())):
        raise UserError(f"README.md does not show {missing[0]} in both its table and its model-index.")
    return compared + len(results)


def check_rest(folder: Path, manifest: dict, texts: list[dict]) -> str:
    """Makes card and plots of the files in `folder` again; says what was compared, or why it could not be.

    Lines with a number, a warning in bold, a plot or in a code block must be the same; words elsewhere may be mended.
    `texts`: the answered rows. Raises UserError for the first line that differs, is missing or was added, and for a
    plot of other figures.
    """
    if manifest.get("card", {}).get("made_by") != cards.made_by():
        return "the rest of it and the plots were not compared: this Kira makes other cards"
    if {a["id"] for a in cards.quoted(folder, manifest)} - {row["id"] for row in texts}:
        return "the rest of it was not compared: it quotes texts that are not here"
    for name, drawn in cards.draw_plots(folder).items():
        if not (folder / name).is_file() or (folder / name).read_text("utf-8") != drawn:
            raise UserError(f"{name} does not show the figures of the files beside it.")
    said, right = map(_statements, ((folder / "README.md").read_text("utf-8"),
                                    cards.render_card(folder, {row["id"]: row for row in texts})))
    for here, there in zip_longest(said, right, fillvalue=""):
        if here != there:
            raise UserError(f'README.md says "{_short(here)}" where the files beside it give "{_short(there)}".')
    return f"so are the plots and {len(said)} lines of it with numbers, warnings or answers"


def _statements(card: str) -> list[str]:
    found, fence = [], ""
    for line in card.splitlines():
        marks = FENCE.match(line)
        if fence or marks or line.startswith(("**", "![")) or re.search(r"\d", line):
            found.append(line.strip())
        if fence and line.strip() == fence:
            fence = ""
        elif not fence and marks:
            fence = marks[0]
    return found


def _short(line: str) -> str:
    return line if len(line) <= 160 else f"{line[:157]}..."


def _like(said: str, value: float) -> str:
    """`value` with the sign and the decimals that `said` shows."""
    return f"{value:{'+' if said[0] == '+' else ''}.{len(said.partition('.')[2])}f}"
