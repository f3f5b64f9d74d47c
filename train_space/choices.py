"""Multiple choice without questions written for it: which of four answers does the model find likeliest?

The other three are answers to other questions of the same type, nearest in length and on another topic. Scored as
EleutherAI's lm-evaluation-harness does (acc, acc_norm), except that an option's end of turn counts as part of it.
"""

import math
import random

import numpy as np

OPTIONS = 4
CHANCE = 1 / OPTIONS
BINS = 10


def items(rows: list[dict], lengths: list[int], count: int, seed: int) -> dict[int, tuple[list[int], int]]:
    """{row number: (row numbers of its four options, place of the right one)} of the first `count` rows that have one.

    `lengths`: tokens of each row's answer. Without a topic every row is its own. A row with fewer than three rows
    to choose from has no item. Ties in length and the order of the options fall by `seed` and the row's id.
    """
    made = {}
    for i, row in enumerate(rows):
        if len(made) == count:
            break
        others = [j for j, other in enumerate(rows) if other.get("type", "") == row.get("type", "")
                  and _topic(other) != _topic(row) and other["answer"] != row["answer"]]
        draw = random.Random(f"{seed} {row['id']}")
        draw.shuffle(others)
        wrong, texts = [], set()
        for j in sorted(others, key=lambda j: abs(lengths[j] - lengths[i])):
            if rows[j]["answer"] not in texts and len(wrong) < OPTIONS - 1:
                wrong.append(j)
                texts.add(rows[j]["answer"])
        if len(wrong) < OPTIONS - 1:
            continue
        options = [i, *wrong]
        draw.shuffle(options)
        made[i] = options, options.index(i)
    return made


def quantities(option_nll: list[float], option_bytes: list[int], correct: int) -> dict[str, float]:
    """What one item adds to the sums behind `METRICS`; nll in nats, one entry per option."""
    scores = -np.array(option_nll) / np.array(option_bytes)
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    confidence, right = float(shares.max()), int(scores.argmax()) == correct
    gaps = [0.0] * BINS
    gaps[min(int(confidence * BINS), BINS - 1)] = confidence - right
    return {"rows": 1, "right": int(np.argmin(option_nll)) == correct, "right_norm": right,
            **{f"gap_{b}": gap for b, gap in enumerate(gaps)}}


def expected_calibration_error(sums: dict):
    """Mean over items of |confidence - accuracy| in ten bins of equal width (Naeini et al. 2015; Guo et al. 2017).

    Confidence is the largest share of a softmax over log-likelihoods per byte. A bin's items times its gap is the
    absolute sum of its items' (confidence - right), which is all that is needed.
    """
    return sum(np.abs(sums[f"gap_{b}"]) for b in range(BINS)) / sums["rows"]


METRICS = {
    "choice_accuracy": lambda s: s["right"] / s["rows"],
    "choice_accuracy_norm": lambda s: s["right_norm"] / s["rows"],
    "ece": expected_calibration_error,
}


def mcnemar(before: list[bool], after: list[bool]) -> float:
    """Two-sided exact p (McNemar 1947): of the rows on which the two differ, either is right with probability 1/2."""
    lost = sum(b and not a for b, a in zip(before, after, strict=True))
    gained = sum(a and not b for b, a in zip(before, after, strict=True))
    tail = sum(math.comb(lost + gained, k) for k in range(min(lost, gained) + 1))
    return min(1.0, 2 * tail / 2 ** (lost + gained))


def _topic(row: dict) -> str:
    return row.get("topic") or row["id"]
