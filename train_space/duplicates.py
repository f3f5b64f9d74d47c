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


def near_duplicate_pairs(texts: list[str]) -> list[tuple[int, int]]:
    """Index pairs (i < j) of texts that are near duplicates, in order."""
    from rensa import RMinHash, RMinHashLSH

    sets = [shingles(text) for text in texts]
    index = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=BANDS)
    digests, pairs = [], []
    for i, items in enumerate(sets):
        digest = RMinHash(num_perm=PERMUTATIONS, seed=42)
        digest.update(list(items))
        for j in index.query(digest):
            if digest.jaccard(digests[j]) >= LEAST_ESTIMATE and _jaccard(items, sets[j]) >= THRESHOLD:
                pairs.append((j, i))
        index.insert(i, digest)
        digests.append(digest)
    return sorted(pairs)


def _jaccard(a: set, b: set) -> float:
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)
