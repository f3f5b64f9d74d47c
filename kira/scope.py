"""Is a question one that Kira should leave to others? Text in, a Notice or None out, before any model is asked.

Doses, diagnoses and stopping a medicine are for people who know the person; other subjects are for other programs; and
of a name that is in nothing Kira has read, a model would only make something up. Patterns and fixed words are data
(kira/data/scope.yaml), with a small classifier beside them: software checks, reviewed by no clinician.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from kira import classifier
from kira.normalise import normalise
from kira.triage import Notice
from kira.vocabulary import WORD, Vocabulary

DATA = Path(__file__).resolve().parent / "data" / "scope.yaml"
GAP = r"(?:[ ,]+[^\s,]+){0,6}?"
NAMED = re.compile(  # where the name of a thing stands, and where it ends
    r"\b(?:what(?:'s| is| are| was)|what does|whats|tell me (?:more )?about|explain|define|meaning of|definition of|"
    r"(?:symptoms?|signs?|causes?|treatments?|side effects?|prognosis|outlook|types?|stages?) (?:of|for)|"
    r"(?:diagnosed|living|born) with|is there a cure for|how is|is|does|can)"
    r"((?: [^\W_][\w'-]*){1,6})")
KINDS = ("syndrome", "disease", "disorder", "fever", "virus", "sign", "test", "palsy", "anaemia", "anemia", "dystrophy")
DRUGS = ("mab", "nib", "pril", "sartan", "olol", "statin", "cillin", "mycin", "azole", "zepam", "gliptin", "tide",
         "vir", "itis", "osis", "emia", "aemia", "pathy", "plegia", "trophy", "ectomy", "oscopy")


def decline(question: str, vocabulary: Vocabulary | None) -> Notice | None:
    """The fixed answer to a question that Kira leaves to others; `vocabulary`: the words of what it has read, if known.

    Its label is "scope", its group dose, diagnosis, stopping, outside or unknown.
    """
    text = re.sub(r"\s+", " ", normalise(question))
    for group, (said, patterns, unless) in _kinds().items():
        if patterns.search(text) and not (unless and unless.search(text)):
            return Notice("scope", group, "en", said)
    if group := _guess(question):
        return Notice("scope", group, "en", _kinds()[group][0])
    name = vocabulary and unknown_name(text, vocabulary)
    if name:
        said = f'Kira does not know "{name}": it is in none of the texts that it has read. Check the spelling, or ask '
        return Notice("scope", "unknown", "en", f"{said}somebody who can look it up.")
    return None


def unknown_name(text: str, vocabulary: Vocabulary) -> str | None:
    """The first word of normalised `text`, in the place of a medical name, that no text of Kira's contains."""
    words = WORD.findall(text)
    asked = {word for place in NAMED.findall(text) for word in WORD.findall(place)}
    for number, word in enumerate(words):
        follows = words[number + 1: number + 2]
        named = word in asked or (follows and follows[0].rstrip("s") in KINDS) or word.endswith(DRUGS)
        if named and len(word) > 4 and not vocabulary.knows(word):
            return word
    return None


def _guess(question: str) -> str | None:
    """What the classifier takes the question for, if it is sure; None where it is missing."""
    judge = classifier.load("scope")
    if judge is None:
        return None
    scores = np.max([judge.scores(part) for part in classifier.windows(question)], axis=0)
    return judge.classes[scores.argmax()] if scores.max() > 0 else None


@cache
def _kinds() -> dict[str, tuple[str, re.Pattern, re.Pattern | None]]:
    data = yaml.safe_load(DATA.read_text("utf-8"))
    return {name: (kind["text"], _any(kind["patterns"], data["lists"]),
                   _any(kind["unless"], data["lists"]) if "unless" in kind else None)
            for name, kind in data["kinds"].items()}


def _any(patterns: list[str], lists: dict[str, str]) -> re.Pattern:
    return re.compile("|".join(_pattern(pattern, lists) for pattern in patterns))


def _pattern(pattern: str, lists: dict[str, str]) -> str:
    """`a * b|c` as a regular expression."""
    parts = []
    for word in pattern.split():
        if word == "*":
            parts.append(GAP)
        else:
            choices = re.sub(r"\{(\w+)\}", lambda named: lists[named[1]], word)
            parts.append(("[ ,]+" if parts else "") + f"(?:{choices})")
    return r"\b" + "".join(parts) + r"\b"
