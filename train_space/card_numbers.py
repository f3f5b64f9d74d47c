"""Whether a model card's table and model-index show the figures that they should: one edited digit is found."""

import re

from kira.errors import UserError
from train_space.recompute import equal

COLUMNS = ("base", "tuned", "delta", "low", "high", "p_holm", "n")
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


def _like(said: str, value: float) -> str:
    """`value` with the sign and the decimals that `said` shows."""
    return f"{value:{'+' if said[0] == '+' else ''}.{len(said.partition('.')[2])}f}"
