"""In which order the test answers are shown: by ROUGE-L, the score that every answer has."""

AS_PUBLISHED = "order_published"  # all of them keys of kira.translations too
KEYS = {
    "order_worst": lambda answer: answer["tuned"]["rougeL"],
    "order_lost": lambda answer: answer["tuned"]["rougeL"] - answer["base"]["rougeL"],
    "order_best": lambda answer: -answer["tuned"]["rougeL"],
}
ORDERS = (AS_PUBLISHED, *KEYS)


def ordered(answers: list[dict], order: str) -> list[dict]:
    """`answers` in one of ORDERS; equal ones stay as published."""
    return sorted(answers, key=KEYS[order]) if order in KEYS else answers
