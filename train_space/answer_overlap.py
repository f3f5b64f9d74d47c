"""How much of the reference is in the answer: ROUGE and token F1, row by row, as an offline `evaluate` metric.

`evaluate.load("rouge")` fetches a script from the Hub and runs it; this class needs neither. Scores are 0..1.
"""

from itertools import combinations

import datasets
import evaluate
from rouge_score.rouge_scorer import RougeScorer

from kira.word_overlap import token_f1

ROUGE = ("rouge1", "rouge2", "rougeL")


class AnswerOverlap(evaluate.Metric):
    """`AnswerOverlap().compute(predictions=[...], references=[...])` -> {metric: [score per row]}.

    ROUGE-1/2/L are F-measures with Porter stemming (Lin 2004, google's rouge_score); token_f1 is SQuAD's
    (Rajpurkar et al. 2016): bags of words without case, punctuation and articles.
    """

    def _info(self):
        return evaluate.MetricInfo(
            description="ROUGE-1/2/L and SQuAD token F1 per row",
            citation="Lin 2004; Rajpurkar et al. 2016",
            inputs_description="one answer and one reference a row, as text",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions, references):
        scorer = RougeScorer(list(ROUGE), use_stemmer=True)
        rows = [scorer.score(target, answer) for answer, target in zip(predictions, references, strict=True)]
        scores = {name: [row[name].fmeasure for row in rows] for name in ROUGE}
        scores["token_f1"] = [token_f1(a, t) for a, t in zip(predictions, references, strict=True)]
        return scores


def rouge_l(answers: list[str], references: list[str]) -> list[float]:
    """ROUGE-L alone, row by row, as AnswerOverlap computes it."""
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return [scorer.score(target, answer)["rougeL"].fmeasure for answer, target in zip(answers, references, strict=True)]


def first_words(text: str, count: int) -> str:
    """`text` cut after `count` words."""
    return " ".join(text.split()[:count])


def agreement(samples: list[str]) -> float:
    """Mean ROUGE-L over all pairs of samples of one answer: 1 says the same each time."""
    pairs = list(combinations(samples, 2))
    return sum(rouge_l(*map(list, zip(*pairs, strict=True)))) / len(pairs)


def repetition_rate(answer: str) -> float:
    """Share of an answer's 4-word sequences that stand in it before: 0 says nothing twice, near 1 loops."""
    words = answer.lower().split()
    grams = list(zip(*(words[i:] for i in range(4)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
