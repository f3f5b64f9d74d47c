"""Near-duplicate answers: Jaccard similarity of at least 0.8 over 5-word shingles."""

THRESHOLD = 0.8
SHINGLE_WORDS = 5
# A pair becomes a candidate when all 6 rows of one of 32 bands agree: at Jaccard 0.8 with probability
# 1 - (1 - 0.8^6)^32 = 0.99994, at 0.3 with 0.02. Those whose estimate from the 192 hashes is 3.4 standard errors
# (sqrt(0.8 x 0.2 / 192) = 0.029) short of the threshold are let go, the others verified exactly.
PERMUTATIONS, BANDS = 192, 32
LEAST_ESTIMATE = 0.7


def shingles(text: str) -> set[str]:
    """5-word sequences of the text's normal form; a shorter text is one shingle."""
    from train_space.clean import normal_form

    words = normal_form(text).split()
    return {" ".join(words[i: i + SHINGLE_WORDS]) for i in range(max(1, len(words) - SHINGLE_WORDS + 1))}


def near_duplicates(texts: list[str]) -> set[int]:
    """Indices of texts that are near duplicates of an earlier one which itself stays."""
    return {j for _, j in _matches(texts, among_kept=True)}


def near_duplicate_pairs(texts: list[str], sides: list[str]) -> list[tuple[int, int]]:
    """Index pairs (i < j) of near duplicates that stand on different sides (one side named per text), in order."""
    return sorted(_matches(texts, sides=sides))


def _matches(texts, sides=None, among_kept=False):
    """(earlier, later) pairs. With `among_kept` a text that has a match is compared with no later one: a source with
    templates has hundreds of thousands of pairs (366,000 in MedQuAD), and each would be verified."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=BANDS)
    digests, sets = [], []
    for j, text in enumerate(texts):
        digest, items = RMinHash(num_perm=PERMUTATIONS, seed=42), shingles(text)
        digest.update(list(items))
        digests.append(digest)
        sets.append(items)
        matches = ((i, j) for i in index.query(digest)
                   if (sides is None or sides[i] != sides[j])
                   and digest.jaccard(digests[i]) >= LEAST_ESTIMATE and _jaccard(items, sets[i]) >= THRESHOLD)
        first = next(matches, None)
        if first:
            yield first
        if first and among_kept:
            continue
        yield from matches
        index.insert(j, digest)


def _jaccard(a: set, b: set) -> float:
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)
