"""Where an answer stands, whoever gives it: a model here, an inference server, or fixed words."""

from dataclasses import dataclass, field

from kira.translations import english

FIXED = "fixed"


@dataclass
class Step:
    """Where a stream stands: one text per row, grown since the step before."""

    texts: list[str]
    tokens: list[int] = field(default_factory=list)
    forgotten: int = 0  # earlier turns that did not fit into the prompt
    first_s: float = 0.0
    seconds: float = 0.0
    ended: str = ""  # "" while running; then "stop", "length", "deadline" or, where no model was asked, "fixed"

    @property
    def rate(self) -> float:
        """Tokens per second of all rows together, from the first token on."""
        return max(sum(self.tokens) - len(self.tokens), 0) / max(self.seconds - self.first_s, 1e-9)

    @property
    def notes(self) -> list[str]:
        """What a reader must know about the answer beyond its text, a sentence each, in English."""
        return self.noted(english)

    def noted(self, say) -> list[str]:
        """`notes` in the language of `say`, which is one of kira.translations."""
        said = [say("forgotten", count=self.forgotten)] if self.forgotten else []
        return [*said, say(self.ended)] if self.ended in ("deadline", "length", FIXED) else said
