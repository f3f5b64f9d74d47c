"""Fills the templates of the cards; a name that they do not get is an error, not an empty place."""

import re
from pathlib import Path

from jinja2 import Environment, StrictUndefined


def render(path: Path, **values) -> str:
    """The template's text with `values`; its filter `cell` makes any text inert in a cell of a Markdown table."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["cell"] = _cell
    return environment.from_string(path.read_text("utf-8")).render(**values)


def _cell(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|&~$#!])", r"\\\1", " ".join(text.split()))
