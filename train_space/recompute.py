"""Stored figures against the same figures made anew: the first that differs, as words."""

import math

OF_TEXTS = ("length_ratio", "rougeL_equal_length", "unsupported_number_rate")  # not of scores by row alone
EXACT = 1e-12  # the same numbers, perhaps summed in another order


def equal(stored: float, made: float) -> bool:
    """Equal but for the order of a sum; NaN equals nothing."""
    return math.isclose(stored, made, rel_tol=EXACT, abs_tol=EXACT)


def wrong_score(answers: list[dict], references: list[str]) -> str:
    """Which overlap score of answers.jsonl does not follow from answer and reference; empty when all do."""
    from train_space.answer_overlap import AnswerOverlap
    from train_space.compare import OVERLAP, RUNS

    for run in RUNS:
        overlap = AnswerOverlap(keep_in_memory=True).compute(
            predictions=[a[run]["answer"] for a in answers], references=references)
        for i, answer in enumerate(answers):
            for name in OVERLAP:
                if not equal(answer[run][name], overlap[name][i]):
                    return f"{name} of {answer['id']}, {run}, is {answer[run][name]}, recomputed {overlap[name][i]}"
            if answer["reference_bytes"] != len(references[i].encode()):
                return f"reference_bytes of {answer['id']} is {answer['reference_bytes']}, which is not its text's"
    return ""


def without_texts(metrics: dict) -> dict:
    """The figures of metrics.json that follow from the scores in answers.jsonl, without any reference text."""
    return {
        "runs": {run: {**values, "metrics": _but_of_texts(values["metrics"])}
                 for run, values in metrics["runs"].items()},
        "deltas": [{k: v for k, v in delta.items() if k != "p_holm"} for delta in metrics["deltas"]
                   if delta["metric"] not in OF_TEXTS],
        **({"choices": metrics["choices"]} if "choices" in metrics else {}),
    }


def _but_of_texts(values: dict) -> dict:
    return {name: value for name, value in values.items() if name not in OF_TEXTS}


def difference(where: str, stored, made) -> str:
    """The first place where two JSON values differ; empty when they do not. `where`: what they are, for the words."""
    if isinstance(made, dict) and isinstance(stored, dict) and made.keys() == stored.keys():
        return next(filter(None, (difference(f"{where}.{k}", stored[k], made[k]) for k in made)), "")
    if isinstance(made, list) and isinstance(stored, list) and len(made) == len(stored):
        return next(filter(None, (difference(f"{where}[{i}]", s, m)
                                  for i, (s, m) in enumerate(zip(stored, made, strict=True)))), "")
    if isinstance(made, float) and isinstance(stored, (int, float)):
        return "" if equal(stored, made) else f"{where} is {stored}, recomputed {made}"
    return "" if stored == made else f"{where} is {stored}, recomputed {made}"
