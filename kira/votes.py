"""What a visitor preferred when the answers had no names, and how sure that makes one."""

from kira.figures import number
from kira.translations import say
from kira.wilson import wilson

# Each with the key of its words.
CHOICES = {"a": "vote_a", "b": "vote_b", "both good": "vote_both_good", "both bad": "vote_both_bad"}


def preferred(choice: str, order: tuple[int, ...]) -> str:
    """What a choice of CHOICES says once the sides have names: "base", "tuned", "both good" or "both bad"."""
    return ("base", "tuned")[order["ab".index(choice)]] if choice in ("a", "b") else choice


def tally(votes: list[str]) -> str:
    """The votes of a visit, as `preferred` has them, in a sentence or two."""
    decided = [vote for vote in votes if vote in ("base", "tuned")]
    counts = {"votes": len(votes), "good": votes.count("both good"), "bad": votes.count("both bad")}
    if not decided:
        return say("tally_undecided", **counts)
    wins = decided.count("tuned")
    low, high = wilson(wins, len(decided))
    return say("tally", **counts, wins=wins, decided=len(decided), rate=number(wins / len(decided)), low=number(low),
               high=number(high))
