"""In which order the test answers are shown: by ROUGE-L, the score that every answer has."""

AS_PUBLISHED = "As published"
KEYS = {
    "Worst first": lambda answer: answer["tuned"]["rougeL"],
    "Most lost against the base first": lambda answer: answer["tuned"]["rougeL"] - answer["base"]["rougeL"],
    "Best first": lambda answer: -answer["tuned"]["rougeL"],
}
ORDERS = (AS_PUBLISHED, *KEYS)


def ordered(answers: list[dict], order: str) -> list[dict]:
    """`answers` in one of ORDERS; equal ones stay as published."""
    return sorted(answers, key=KEYS[order]) if order in KEYS else answers
