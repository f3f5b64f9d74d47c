"""What the public endpoints take and give, as types: OpenAPI, Gradio's clients and `/agents.md` show their fields."""

from typing import Literal, TypedDict


class Turn(TypedDict):
    role: Literal["user", "assistant"]
    content: str


class Met(TypedDict):
    """Why fixed words stand before an answer or in its place."""

    label: Literal["emergency", "crisis", "scope"]
    group: str
    lang: str


class Figures(TypedDict):
    notice: Met | None
    tokens: int
    tokens_per_second: float
    first_token_seconds: float
    notes: list[str]


class Answer(Figures):
    answer: str
    model: str | None
    disclaimer: str


class Compared(Figures):
    base: str
    tuned: str
    base_model: str | None
    tuned_model: str | None
    disclaimer: str


class Triaged(TypedDict):
    label: Literal["emergency", "crisis", "none"]
    group: str
    lang: str
    advice: str
    disclaimer: str
