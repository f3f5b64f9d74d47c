"""Which words of two texts are not in the other, in order; white space counts for nothing and is kept."""

import re
from difflib import SequenceMatcher

MOST_WORDS = 1000  # of each text; time grows with their product, and a model that loops makes the worst case


def word_difference(left: str, right: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]] | None:
    """Each text as [(piece, whether it is its own alone)], its pieces joined giving the text again; None if too long.
    """
    sides = [re.findall(r"\s*\S+", text) for text in (left, right)]
    if max(map(len, sides)) > MOST_WORDS:
        return None
    words = [[piece.strip() for piece in side] for side in sides]
    pieces = [], []
    for kind, *spans in SequenceMatcher(None, *words, autojunk=False).get_opcodes():
        for side, found, (start, end) in zip(sides, pieces, (spans[:2], spans[2:]), strict=True):
            if start < end:
                found.append(("".join(side[start:end]), kind != "equal"))
    return pieces
