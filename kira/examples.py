"""The first screen's examples, and their answers once they were given: the same for everybody, so no visitor's text."""

from kira.settings import settings
from kira.step import Step

EXAMPLES = ("What is arachnodactyly?", "What does hypertension mean?", "What are common features of Marfan syndrome?",
            "What is the medical term for a fast heartbeat?")


class Cache:
    """Greedy answers to EXAMPLES as first questions, in memory, each with the length that was asked for.

    Filled by whoever asks first; the model is the same as long as the process lives.
    """

    def __init__(self):
        self._answers: dict[tuple[str, int], Step] = {}

    def find(self, question, history, max_new_tokens, temperature) -> Step | None:
        """The answer, if it was given before."""
        return self._answers.get(_key(question, history, max_new_tokens, temperature))

    def keep(self, question, history, max_new_tokens, temperature, step: Step) -> None:
        """Remembers the end of a model's answer to an example, and nothing else."""
        key = _key(question, history, max_new_tokens, temperature)
        if key and step.ended in ("stop", "length"):
            self._answers[key] = step


def _key(question, history, max_new_tokens, temperature):
    # Every value comes from a request: a length that is out of range must meet the check that answers for it.
    sound = type(max_new_tokens) is int and 1 <= max_new_tokens <= settings().max_new_tokens
    if sound and question in EXAMPLES and not history and type(temperature) in (int, float) and temperature == 0:
        return question, max_new_tokens
    return None
