"""Sampling by topic, splitting by topic, and the proof that nothing stands on two sides."""

import random
from collections import defaultdict
from itertools import combinations

from train_space.clean import normal_form
from train_space.duplicates import near_duplicate_pairs


def sample(rows: list[dict], count: int, seed: int) -> list[dict]:
    """`count` rows, types in proportion to their number, one row of every topic before a second of any."""
    if count >= len(rows):
        return rows
    by_type = defaultdict(list)
    for row in rows:
        by_type[row["type"]].append(row)
    chosen, rng = [], random.Random(seed)
    quotas = _proportional({t: len(group) for t, group in by_type.items()}, count)
    for kind in sorted(by_type):
        topics = defaultdict(list)
        for row in by_type[kind]:
            topics[row["topic"]].append(row)
        rounds = []
        for topic in sorted(topics):
            group = topics[topic]
            rng.shuffle(group)
            rounds += [(place, rng.random(), row) for place, row in enumerate(group)]
        rounds.sort(key=lambda r: r[:2])
        chosen += [row for _, _, row in rounds[: quotas[kind]]]
    return chosen


def split(rows: list[dict], how: str, validation_share: float, test_share: float, seed: int) -> dict[str, list[dict]]:
    """{"train", "validation", "test"}: by whole topics, or (`random`) row by row as the ancestor did.

    Topics are dealt in random order to whichever side is furthest below its share, so shares hold to a topic's size.
    """
    shares = {"train": 1 - validation_share - test_share, "validation": validation_share, "test": test_share}
    shares = {name: share for name, share in shares.items() if share > 0}
    groups = defaultdict(list)
    for i, row in enumerate(rows):
        groups[row["topic"] if how == "topic" else i].append(row)
    order = [groups[key] for key in sorted(groups)]
    random.Random(seed).shuffle(order)
    sides = {name: [] for name in shares}
    for group in order:
        short = max(sides, key=lambda name: shares[name] * len(rows) - len(sides[name]))
        sides[short] += group
    for side in sides.values():
        random.Random(seed).shuffle(side)
    return sides


def leakage(sides: dict[str, list[dict]]) -> dict[str, dict[str, int]]:
    """Rows of the later split whose answer or topic also stands in the earlier one, for each pair of splits."""
    texts = [row["answer"] for side in sides.values() for row in side]
    owner = [name for name, side in sides.items() for _ in side]
    crossing = defaultdict(set)
    for i, j in near_duplicate_pairs(texts, owner):
        crossing[owner[i], owner[j]].add(j)
    report = {}
    for a, b in combinations(sides, 2):
        answers = {normal_form(row["answer"]) for row in sides[a]}
        topics = {row["topic"] for row in sides[a]}
        report[f"{a}-{b}"] = {
            "exact_answers": sum(normal_form(row["answer"]) in answers for row in sides[b]),
            "near_duplicates": len(crossing[a, b]),
            "shared_topics": len(topics & {row["topic"] for row in sides[b]}),
            "rows_with_shared_topic": sum(row["topic"] in topics for row in sides[b]),
        }
    return report


def _proportional(counts: dict[str, int], total: int) -> dict[str, int]:
    """Whole quotas that add up to `total`, by largest remainder."""
    exact = {k: total * n / sum(counts.values()) for k, n in counts.items()}
    quotas = {k: int(v) for k, v in exact.items()}
    for k in sorted(exact, key=lambda k: (quotas[k] - exact[k], k))[: total - sum(quotas.values())]:
        quotas[k] += 1
    return quotas
