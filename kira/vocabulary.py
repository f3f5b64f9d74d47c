"""Which words occur in what Kira has read? Only their checksums are kept, so no text travels with an adapter."""

import base64
import re
from collections.abc import Iterable
from zlib import crc32

import numpy as np

from kira.normalise import normalise

FILE = "vocabulary.json"
WORD = re.compile(r"[^\W\d_]+")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Vocabulary:
    """A set of words; of 40,000, one unknown word in 100,000 passes for known."""

    def __init__(self, checksums: np.ndarray):
        self._checksums = checksums

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Vocabulary":
        """Every word of `texts`."""
        spelt = {word for text in texts for word in WORD.findall(text)}
        words = {word for text in spelt for word in WORD.findall(normalise(text))}
        return cls(np.unique(np.fromiter(map(_checksum, words), "<u4", len(words))))

    @classmethod
    def from_json(cls, data: dict) -> "Vocabulary":
        """The inverse of `as_json`."""
        return cls(np.frombuffer(base64.b64decode(data["words"]), "<u4"))

    def as_json(self) -> dict:
        """Sorted checksums (CRC-32, little-endian) in base64."""
        return {"schema": 1, "checksum": "crc32", "words": base64.b64encode(self._checksums.tobytes()).decode()}

    def knows(self, word: str) -> bool:
        """The normalised word, its singular, or a word one letter away from it is in the set."""
        return self._has([word, word.removesuffix("s"), word.removesuffix("es")]) or self._has(_one_letter_away(word))

    def _has(self, words: list[str]) -> bool:
        found = np.fromiter(map(_checksum, words), "<u4", len(words))
        places = np.searchsorted(self._checksums, found).clip(max=len(self._checksums) - 1)
        return bool(len(self._checksums)) and bool((self._checksums[places] == found).any())


def _checksum(word: str) -> int:
    return crc32(word.encode("utf-8", "surrogatepass"))


def _one_letter_away(word: str) -> list[str]:
    """Every spelling with one letter left out, changed, put in, or swapped with the next."""
    parts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    made = [a + b[1:] for a, b in parts if b] + [a + b[1] + b[0] + b[2:] for a, b in parts if len(b) > 1]
    made += [a + letter + b[1:] for a, b in parts if b for letter in LETTERS]
    return made + [a + letter + b for a, b in parts for letter in LETTERS]
