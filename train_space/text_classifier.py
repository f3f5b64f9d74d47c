"""Trains the small linear classifiers that stand beside written rules, and says how they do on texts left out.

    python -m train_space.text_classifier triage        -> kira/data/triage/classifier.npz
    python -m train_space.text_classifier scope         -> kira/data/scope.npz

Reads LEARNS of train_space/texts/NAME ({"text", "label"}; texts of one "pair" stay on one side), never unseen.jsonl.
Multinomial logistic regression, one weight a hashed feature and class (kira/classifier.py).
Of a long text that should fire only some sentence says so: which, is taken from the scores of the round before.
"""

import random
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from kira.classifier import FOLDER, SIZE, features, windows
from train_space.company import Company
from train_space.files import read_json_lines, sha256

TEXTS = Path(__file__).resolve().parent / "texts"
NAMES = {"triage": "triage/classifier", "scope": "scope"}
CLASSES = {"triage": ("none", "emergency", "crisis"), "scope": ("answer", "dose", "diagnosis", "stopping", "outside")}
LEARNS = {"triage": ("training", "more", "development"), "scope": ("training", "development")}
FALSE_ALARMS = {"scope": 0.01}  # of texts left out; triage has its threshold from train_space/triage_thresholds.py
ROUNDS, FOLDS, PENALTY = 2, 5, 0.05


class Texts:
    """Rows as windows with their features; `owner` has each window's row."""

    def __init__(self, rows: list[dict], classes: tuple[str, ...]):
        self.labels = np.array([classes.index(row["label"]) for row in rows])
        parts = [windows(row["text"]) for row in rows]
        self.owner = np.array([i for i, found in enumerate(parts) for _ in found])
        self.features = [features(part) for found in parts for part in found]
        self.many = np.array([len(found) for found in parts])

    def matrix(self, chosen: np.ndarray) -> torch.Tensor:
        """Sparse (windows, SIZE) of the chosen windows."""
        found = [self.features[i] for i in chosen]
        rows = np.repeat(np.arange(len(found)), [len(places) for places, _ in found])
        at = np.stack([rows, np.concatenate([places for places, _ in found])])
        values = np.concatenate([value for _, value in found]).astype(np.float32)
        return torch.sparse_coo_tensor(torch.from_numpy(at), torch.from_numpy(values), (len(found), SIZE),
                                       check_invariants=True).coalesce()


def fit(texts: Texts, rows: np.ndarray, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(weights (SIZE, classes), bias (classes,)) learnt from these rows."""
    chosen = np.flatnonzero(np.isin(texts.owner, rows))
    owner = texts.owner[chosen]
    labels, long = texts.labels[owner], texts.many[owner] > 1
    matrix, target = texts.matrix(chosen), torch.from_numpy(labels)
    met = torch.bincount(matrix.indices()[1], minlength=SIZE)
    rarity = (len(chosen) / (met + 1)).log().clamp(min=0) / 3  # inverse document frequency: rare words tell more
    matrix = torch.sparse_coo_tensor(matrix.indices(), matrix.values() * rarity[matrix.indices()[1]], matrix.shape,
                                     is_coalesced=True, check_invariants=True)
    counts = np.where(long & (labels > 0), 0.0, 1 / np.sqrt(texts.many[owner]))
    for number in range(ROUNDS):
        weights, bias = _regression(matrix, target, torch.from_numpy(counts).float(), classes)
        scores = (torch.sparse.mm(matrix, weights) + bias).log_softmax(1).numpy()
        best: dict[int, int] = {}
        for i in np.flatnonzero(long & (labels > 0)):
            row = owner[i]
            if row not in best or scores[i, labels[i]] > scores[best[row], labels[i]]:
                best[row] = i
        if number + 1 < ROUNDS:
            counts[list(best.values())] = 1.0
    return weights * rarity[:, None], bias


def _regression(matrix, target, counts, classes):
    weights, bias = torch.zeros(SIZE, classes, requires_grad=True), torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(torch.sparse.mm(matrix, weights) + bias, target, reduction="none")
        loss = (loss * counts).sum() + PENALTY / 2 * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach(), bias.detach()


def row_scores(texts: Texts, rows: np.ndarray, weights, bias) -> np.ndarray:
    """Highest log-odds (rows, classes) against the first class over each row's windows."""
    chosen = np.flatnonzero(np.isin(texts.owner, rows))
    logits = torch.sparse.mm(texts.matrix(chosen), weights) + bias
    odds = (logits - logits[:, :1]).numpy()
    made = np.full((len(texts.labels), odds.shape[1]), -np.inf)
    np.maximum.at(made, texts.owner[chosen], odds)
    return made[rows]


def left_out_scores(texts: Texts, groups: list, classes: int) -> np.ndarray:
    """Scores (rows, classes) of every row by a classifier that saw neither it nor its partners."""
    names = {group: number % FOLDS for number, group in enumerate(dict.fromkeys(groups))}
    fold = np.array([names[group] for group in groups])
    made = np.zeros((len(groups), classes))
    for part in range(FOLDS):
        weights, bias = fit(texts, np.flatnonzero(fold != part), classes)
        rows = np.flatnonzero(fold == part)
        made[rows] = row_scores(texts, rows, weights, bias)
    return made


def threshold(scores: np.ndarray, labels: np.ndarray, share: float) -> float:
    """The least score that `share` of the rows of the first class exceed with some other class."""
    highest = np.sort(scores[labels == 0, 1:].max(1))[::-1]
    return float(highest[int(share * len(highest))])


def limit_of(texts: Texts, rows: list[dict], classes: tuple[str, ...], share: float) -> float:
    """The threshold by texts left out, printed with what it catches of them."""
    groups = [(row["file"], row.get("group_of_pair") or row["id"]) for row in rows]
    scores = left_out_scores(texts, groups, len(classes))
    limit = threshold(scores, texts.labels, share)
    told: dict[str, list] = defaultdict(list)
    for row, score, label in zip(rows, scores, texts.labels, strict=True):
        told[f"{row['file']} {classes[label]}"].append(score[1:].max() > limit)
    for what, fired in sorted(told.items()):
        print(f"{what}: {np.mean(fired):.3f} of {len(fired)} fire")
    return limit


def main(name: str) -> int:
    """Trains, and writes the weights with the digests of their texts."""
    classes = CLASSES[name]
    paths = [TEXTS / name / f"{part}.jsonl" for part in LEARNS[name]]
    rows = [row | {"file": path.stem} for path in paths for row in read_json_lines(path) if row["label"] in classes]
    if name == "triage":
        company, rng = Company(rows), random.Random(0)
        rows += [row | {"text": company.join(row, rng)} for row in rng.sample(rows, len(rows) // 4)]
    texts = Texts(rows, classes)
    limit = limit_of(texts, rows, classes, FALSE_ALARMS[name]) if name in FALSE_ALARMS else 0.0
    weights, bias = (t.T.numpy() if t.ndim == 2 else t.numpy() for t in fit(texts, np.arange(len(rows)), len(classes)))
    weights, bias = weights - weights[:1], bias - bias[:1]  # against the first class
    bias[1:] -= limit
    scale = np.maximum(np.abs(weights).max(1), 1e-9) / 127
    np.savez_compressed(FOLDER / f"{NAMES[name]}.npz", classes=np.array(classes), bias=bias, scale=scale,
                        weights=np.round(weights / scale[:, None]).astype(np.int8),
                        texts=np.array([sha256(path) for path in paths]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
