"""Which written rules does a text meet? Rules, contexts and words are data: kira/data/triage/.

An idea is met by one hit of each of its word lists, standing close together, of which none is negated and no context
(schooling, fiction, the past, an idiom ...) takes back. Negation within the idea itself ("can't breathe") is no
negation of it. Sentences far apart do not mix, so that what is buried in a long story counts as if it stood alone.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import yaml

from kira.lexicon import Hit, Lexicon, Token, tokens_of, within

FOLDER = Path(__file__).resolve().parent / "data" / "triage"
CLOSE = 16  # words from the first to the last of an idea's word lists, at most
SOON = 5  # words between a word list and the next after `>`
NEGATED = 5  # words that a negation reaches forward within its clause
LISTED = 14  # the same in an enumeration: "no fever, rash or stiff neck"
NEGATED_NEAR = 2  # words that `negation_near` reaches forward; `negation_behind` reaches back one more
WIDER = 1.75  # characters to a word, where a language is written without spaces
NEARBY = 2  # sentences
_LETTERS = {name: re.compile(f"[{span}]")
            for name, span in {"ar": "\u0600-\u06ff", "hi": "\u0900-\u097f", "zh": "\u3400-\u9fff"}.items()}


@dataclass(frozen=True)
class Group:
    """One danger: `label` (emergency or crisis), the guidance it rests on, and its ideas as (operator, word list)s."""

    name: str
    label: str
    source: str
    ideas: tuple[tuple[tuple[str, str], ...], ...]
    example: str
    twin: str
    crisis_line: bool


@dataclass
class Reading:
    """What was found in a text: groups met, groups taken back, and the contexts present, each by name, in order."""

    met: list[Group] = field(default_factory=list)
    taken_back: list[Group] = field(default_factory=list)
    contexts: set[str] = field(default_factory=set)


def read_yaml(path: Path) -> dict:
    """The data of a YAML file."""
    return yaml.load(path.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506


@lru_cache(maxsize=1)
def groups() -> tuple[Group, ...]:
    """All groups, in the order of their files."""
    found = []
    for path in sorted((FOLDER / "groups").glob("*.yaml")):
        for name, row in read_yaml(path).items():
            ideas = tuple(tuple(re.findall(r"([+>-]) (\w+)", f"+ {idea}")) for idea in row["ideas"])
            found.append(Group(name, row["label"], row["source"], ideas, row["example"], row["twin"],
                               row.get("crisis_line", False)))
    return tuple(found)


@lru_cache(maxsize=1)
def lexicons() -> dict[str, Lexicon]:
    """{language: its lexicon}; the files of a language share the part of their names before the first dot."""
    words: dict[str, dict[str, str]] = {}
    for path in sorted((FOLDER / "words").glob("*.yaml")):
        ideas = words.setdefault(path.name.split(".")[0], {})
        for idea, listed in read_yaml(path).items():
            ideas[idea] = f"{ideas[idea]}, {listed}" if idea in ideas else listed
    return {language: Lexicon(ideas) for language, ideas in words.items()}


@lru_cache(maxsize=1)
def _contexts() -> dict[str, dict]:
    return read_yaml(FOLDER / "contexts.yaml")


def languages(tokens: list[Token]) -> list[str]:
    """The languages a text may be in, likeliest first, at least one: by its script or else by its words."""
    text = " ".join(token.text for token in tokens)
    scripts = {name: len(letters.findall(text)) for name, letters in _LETTERS.items()}
    likely = sorted(scripts, key=scripts.get, reverse=True)
    found = [name for name in likely if scripts[name] > 1 and name in lexicons()]
    latin = {name: lexicon.evidence(tokens) for name, lexicon in lexicons().items() if name not in _LETTERS}
    ranked = sorted(latin, key=lambda name: (len(latin[name]), name == "en"), reverse=True)
    first = latin[ranked[0]]
    # Another language must explain words that the likeliest does not: Hindi is typed with many of English.
    spoken = [name for name in ranked if first and (
        name == ranked[0] or len(latin[name]) >= 0.6 * len(first) and len(latin[name] - first) > 1)]
    return found + spoken if found else spoken or ["en"]


def read(text: str) -> Reading:
    """The rules that `text` meets, in whichever of the languages it may be written in."""
    tokens = tokens_of(text)
    reading = Reading()
    for language in languages(tokens):
        lexicon = lexicons()[language]
        _read(tokens, lexicon.hits(tokens), reading, lexicon.grammar)
    return reading


def _read(tokens: list[Token], hits: dict[str, list[Hit]], reading: Reading, grammar: str) -> None:
    reading.contexts |= _contexts().keys() & hits.keys()
    for group in groups():
        if group in reading.met:
            continue
        for idea in group.ideas:
            if any(name not in hits for sign, name in idea if sign != "-"):
                continue
            seen = False
            for match in _matches(idea, tokens, hits, grammar):
                seen = True
                if not _cancelled(match, tokens, hits):
                    reading.met.append(group)
                    break
            if group in reading.met:
                break
            if seen and group not in reading.taken_back:
                reading.taken_back.append(group)


def _matches(idea, tokens, hits, grammar, chosen=()):
    """Every way to meet `idea` with hits close together, as tuples of hits."""
    wider = WIDER if grammar == "characters" else 1
    close, soon = round(CLOSE * wider), round(SOON * wider)
    if len(chosen) == sum(sign != "-" for sign, _ in idea):
        low, high = min(h.start for h in chosen), max(h.end for h in chosen)
        own = {tokens[c.start].sentence for c in chosen}
        if not any(tokens[h.start].sentence in own for sign, name in idea if sign == "-"
                   for h in within(hits.get(name, []), low - close, high + close)):
            yield chosen
        return
    sign, name = [term for term in idea if term[0] != "-"][len(chosen)]
    if not chosen:
        candidates = hits[name]
    elif sign == ">":
        last = chosen[-1]
        first = last.start - soon if grammar == "verb last" else last.start + 1
        candidates = [h for h in within(hits[name], first, last.end + soon)
                      if tokens[h.start].sentence == tokens[last.start].sentence]
    else:
        low, high = min(h.start for h in chosen), max(h.end for h in chosen)
        near = tokens[chosen[0].start].sentence
        candidates = [h for h in within(hits[name], high - close, low + close)
                      if abs(tokens[h.start].sentence - near) <= 1]
    for hit in candidates:
        yield from _matches(idea, tokens, hits, grammar, (*chosen, hit))


def _cancelled(match: tuple[Hit, ...], tokens: list[Token], hits: dict[str, list[Hit]]) -> bool:
    return any(_negated(hit, match, tokens, hits) for hit in match) or any(
        _covered(name, rule, match, tokens, hits) for name, rule in _contexts().items() if name in hits)


def _overlap(one: Hit, other: Hit) -> bool:
    return one.start < other.end and other.start < one.end


def _negated(hit: Hit, match, tokens, hits) -> bool:
    near = [n for n in within(hits.get("negation_near", []), hit.start - 2 * NEGATED_NEAR, hit.start)
            if n.end <= hit.start < n.end + NEGATED_NEAR]
    near += within(hits.get("negation_behind", []), hit.end, hit.end + NEGATED_NEAR + 1)
    for negation in near:
        free = not any(_overlap(negation, other) for other in (*match, *hits.get("not_negation", [])))
        if free and tokens[negation.start].clause == tokens[hit.start].clause:
            return True
    for negation in within(hits.get("negation", []), hit.start - LISTED, hit.start):
        own = any(_overlap(negation, other) for other in match)
        if own or any(_overlap(negation, other) for other in hits.get("not_negation", [])):
            continue
        if tokens[negation.start].sentence != tokens[hit.start].sentence:
            continue
        if within(hits.get("breaks", []), negation.end, hit.start):
            continue
        if tokens[negation.start].clause == tokens[hit.start].clause and hit.start - negation.end < NEGATED:
            return True
        if any(tokens[h.start].sentence == tokens[hit.start].sentence
               for h in within(hits.get("listing", []), negation.end, negation.end + LISTED)):
            return True
    return False


def _covered(name: str, rule: dict, match, tokens, hits) -> bool:
    """Does the context `name` take this match back?"""
    sentences = {tokens[hit.start].sentence for hit in match}
    if any(tokens[h.start].sentence in sentences and not any(_overlap(h, c) for c in hits[name])
           for unless in rule.get("unless", ()) for h in hits.get(unless, ())):
        return False
    reach = rule["covers"]
    for context in hits[name]:
        at = tokens[context.start]
        if reach == "words":
            covers = any(_overlap(context, hit) for hit in match)
        elif any(context.start <= hit.start and hit.end <= context.end for hit in match) and reach == "clause":
            covers = True
        elif reach == "clause":
            covers = at.clause in {tokens[hit.start].clause for hit in match}
        else:
            far = min(abs(at.sentence - sentence) for sentence in sentences)
            covers = far <= {"sentence": 0, "nearby": NEARBY, "text": far}[reach]
        if covers:
            return True
    return False
