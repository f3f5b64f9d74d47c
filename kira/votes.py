"""What a visitor preferred when the answers had no names, and how sure that makes one."""

from kira.figures import number
from kira.wilson import wilson

CHOICES = {"a": "A is better", "b": "B is better", "both good": "Both good", "both bad": "Both bad"}


def preferred(choice: str, order: tuple[int, ...]) -> str:
    """What a choice of CHOICES says once the sides have names: "base", "tuned", "both good" or "both bad"."""
    return ("base", "tuned")[order["ab".index(choice)]] if choice in ("a", "b") else choice


def tally(votes: list[str]) -> str:
    """The votes of a visit, as `preferred` has them, in a sentence or two."""
    decided = [vote for vote in votes if vote in ("base", "tuned")]
    said = f"Your {len(votes)} blind {'vote' if len(votes) == 1 else 'votes'} of this visit: "
    rest = ", ".join(f"{name} {votes.count(name)}" for name in ("both good", "both bad"))
    if not decided:
        return f"{said}{rest}."
    wins = decided.count("tuned")
    low, high = wilson(wins, len(decided))
    return (f"{said}fine-tuned better in {wins} of {len(decided)} decided, win rate {number(wins / len(decided))} "
            f"(95 % interval {number(low)} to {number(high)}); {rest}.")
