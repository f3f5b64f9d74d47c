"""Where an answer stands, whoever gives it: a model here, an inference server, or fixed words."""

from dataclasses import dataclass, field

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
        """What a reader must know about the answer beyond its text, a sentence each."""
        said = []
        if self.forgotten:
            said.append(f"Kira no longer sees the first {self.forgotten} messages: they no longer fit.")
        if self.ended == "deadline":
            said.append("The time limit was reached, so the answer is cut short.")
        if self.ended == "length":
            said.append("The length limit was reached, so the answer may be cut short.")
        if self.ended == FIXED:
            said.append("These are fixed words; no model was asked.")
        return said
