"""What Compare computes of two texts: their difference by words and ROUGE-L; and how votes are counted."""

import random
import time

import pytest
from rouge_score.rouge_scorer import RougeScorer

from kira import votes
from kira.word_difference import MOST_WORDS, word_difference
from kira.word_overlap import rouge_l

DRAW = random.Random(5)
TEXTS = ["", "The fever.", "a an the", "Grüntzig's stent keeps it open, 25 mg!", *(
    " ".join(DRAW.choices("A fever is the body's high temperature, and (often) 38 or above.".split(), k=n))
    for n in (1, 3, 9, 40, 200))]


def test_each_text_comes_back_whole_and_its_own_words_are_marked():
    left, right = word_difference("A fever  is\na high\ttemperature. ", "A fever is no high temperature.")
    assert left == [("A fever  is", False), ("\na", True), (" high\ttemperature.", False)]
    assert right == [("A fever is", False), (" no", True), (" high temperature.", False)]
    for one in TEXTS:
        for other in TEXTS:
            for pieces, text in zip(word_difference(one, other), (one, other), strict=True):
                assert "".join(piece for piece, _ in pieces) == text.rstrip()


def test_a_loop_of_words_is_compared_in_time_and_a_longer_one_not_at_all():
    begun = time.perf_counter()
    word_difference("pain and " * (MOST_WORDS // 2), "and pain " * (MOST_WORDS // 2))
    assert time.perf_counter() - begun < 3
    assert word_difference("pain " * (MOST_WORDS + 1), "pain") is None


def test_rouge_l_is_that_of_rouge_score_without_stemming():
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    for answer in TEXTS:
        for reference in TEXTS:
            assert rouge_l(answer, reference) == pytest.approx(scorer.score(reference, answer)["rougeL"].fmeasure)


def test_a_tally_counts_sides_by_name_and_has_wilson_s_interval():
    assert votes.preferred("a", (1, 0)) == votes.preferred("b", (0, 1)) == "tuned"
    assert votes.preferred("b", (1, 0)) == "base" and votes.preferred("both bad", (1, 0)) == "both bad"
    said = votes.tally(["tuned"] * 7 + ["base"] * 2 + ["both bad"])
    assert "Fine-tuned better in 7 of 9 decided, win rate 0.778 (95 % interval 0.453 to 0.937)" in said
    assert "both good 0, both bad 1" in said
    assert votes.tally(["both good"]).endswith("of this visit: 1; both good 1, both bad 0.")
