"""How much of a reference is in an answer: ROUGE-L and token F1, both 0 to 1.

train_space measures ROUGE-L with google's rouge_score and its Porter stemming, which the Space does not install. Here
words count as they are written, so a ROUGE-L may be a little lower than a published one.
"""

import re
import string
from collections import Counter

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def rouge_l(answer: str, reference: str) -> float:
    """F-measure of the longest common subsequence of words (Lin 2004), as rouge_score has it without stemming."""
    ours, theirs = (re.findall("[a-z0-9]+", text.lower()) for text in (answer, reference))
    return 2 * _longest_common(ours, theirs) / (len(ours) + len(theirs)) if ours and theirs else 0.0


def token_f1(answer: str, reference: str) -> float:
    """Shared words without case, punctuation and articles (SQuAD, Rajpurkar et al. 2016); 1.0 when both are empty."""
    ours, theirs = (
        _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split() for text in (answer, reference)
    )
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * sum((Counter(ours) & Counter(theirs)).values()) / (len(ours) + len(theirs))


def _longest_common(left: list[str], right: list[str]) -> int:
    """Length of the longest common subsequence, a bit for each word of `left` (Hyyrö 2004): long answers cost nothing.
    """
    where = {}
    for place, word in enumerate(left):
        where[word] = where.get(word, 0) | 1 << place
    every = (1 << len(left)) - 1
    unmatched = every
    for word in right:
        met = unmatched & where.get(word, 0)
        unmatched = (unmatched + met | unmatched - met) & every
    return len(left) - unmatched.bit_count()
