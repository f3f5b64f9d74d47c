"""A linear classifier of short texts: hashed words, pairs of words and pieces of words, one product.

Its weights are data (train_space/text_classifier.py makes them); numpy is all it needs, and a text takes about a
millisecond. It sees words that no rule foresaw, and nothing of what they mean together.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np

from kira.normalise import normalise

FOLDER = Path(__file__).resolve().parent / "data"
SIZE = 2**16  # places that features are hashed to
PIECES = (3, 4, 5)  # letters
WORD = re.compile(r"[\u3400-\u9fff]|(?:[^\W_\u3400-\u9fff]|[\u0900-\u0963\u0970-\u097f])+(?:'[a-z]+)?")


@dataclass(frozen=True)
class Classifier:
    """`weights`: (classes, SIZE) in 8 bits, with a scale and a bias a class; the first class is "nothing"."""

    classes: tuple[str, ...]
    weights: np.ndarray
    scale: np.ndarray
    bias: np.ndarray

    def scores(self, text: str) -> np.ndarray:
        """Log-odds (classes,) of each class against the first, whose own is 0."""
        places, values = features(text)
        return (self.weights[:, places].astype(np.float32) @ values) * self.scale + self.bias


@cache
def load(name: str) -> Classifier | None:
    """The classifier kira/data/NAME.npz; None where there is none."""
    path = FOLDER / f"{name}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as data:
        return Classifier(tuple(data["classes"].tolist()), data["weights"], data["scale"], data["bias"])


def features(text: str) -> tuple[np.ndarray, np.ndarray]:
    """(places, values) of a text: 1 + log of how often each feature is there, to length 1."""
    words = WORD.findall(normalise(text))
    line = f" {' '.join(words)} "
    found = Counter(words)
    found.update(map(" ".join, zip(words, words[1:], strict=False)))
    for size in PIECES:
        found.update(f"_{line[i:i + size]}" for i in range(len(line) - size + 1))
    places = np.fromiter((crc32(name.encode("utf-8", "surrogatepass")) % SIZE for name in found), np.int64, len(found))
    values = 1 + np.log(np.fromiter(found.values(), np.float32, len(found)))
    return places, values / (np.linalg.norm(values) or 1)


def words_of(text: str) -> list[str]:
    """The words of a text, a Chinese character being one, each with the space behind it."""
    return re.findall(r"(?:[\u3400-\u9fff]|[^\s\u3400-\u9fff]+)\s*", text)


def windows(text: str, most_words: int = 30) -> list[str]:
    """A short text as it is; of a long one its sentences, each alone and with the next, so that nothing is drowned."""
    if len(words_of(text)) <= 1.5 * most_words:
        return [text]
    parts = []
    for sentence in re.split(r"(?<=[.!?।。！？\n])\s*", text):
        words = words_of(sentence)
        parts += ["".join(words[i: i + most_words]).strip() for i in range(0, len(words), most_words)]
    return list(dict.fromkeys([*parts, *map(" ".join, zip(parts, parts[1:], strict=False))]))
