"""Words of a language, by idea: where in a text does each idea stand?

A lexicon is a file of kira/data/triage/words/: {idea: "phrase, phrase, ..."}. In a phrase a final `*` stands for any
ending and `<2..40>` for a number in that span; `common` lists words that only tell the language, `skip` words that
are passed over, `numbers` the number words, `not_typos` words that are no misspelling of others. Words of six letters
or more are known with one letter wrong, missing, added, or two exchanged; shorter ones of four with two exchanged.

What only some languages need: `letters` lists letters read as others ("aa a": both spellings are one word), `spellings`
whole words read as others, `prefixes` what may be written at the front of a word ("wal" of Arabic "waldam"), and
`grammar` says "verb last" where `>` holds in either order, "characters" where a token is less than a word.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from operator import contains

from kira.normalise import normalise

_TOKEN = re.compile(
    r"(?P<number>[1-9]\d{0,2}(?:,\d{3})+(?![\d,.])|\d+(?:[.,]\d+)?)|(?P<han>[\u3400-\u9fff])"
    r"|(?P<word>(?:[^\W\d_]|[\u0900-\u0963\u0970-\u097f]|(?<=\w)\*(?=\w)|'(?=(?:t|m|s|re|ve|ll|d)\b))+)"
    r"|(?P<sentence>[.!?\n。！？؟।]+)|(?P<clause>[,;:()،，、；：\u2013\u2014]| - )")
_SPAN = re.compile(r"<(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)>")
_THOUSANDS = re.compile(r"(?<!^0),(?=\d{3}(?:,|$))")  # "11,000 volts"; "0,125" is a decimal
_MARKS = ("sentence", "clause")
RESERVED = ("common", "skip", "numbers", "not_typos", "letters", "spellings", "prefixes", "grammar")
TYPO_LENGTH = 6
LONGEST = 40  # letters: the spellings of a word are tried letter by letter, and none is longer


@dataclass(frozen=True)
class Token:
    """A word, number or Chinese character, with the places of its sentence and clause, counted from 0."""

    text: str
    sentence: int
    clause: int


@dataclass(frozen=True, order=True)
class Hit:
    """Tokens `start` to `end` (exclusive) stand for an idea."""

    start: int
    end: int


def tokens_of(text: str) -> list[Token]:
    """The tokens of any text, which is normalised here."""
    found, sentence, clause = [], 0, 0
    for match in _TOKEN.finditer(normalise(text)):
        sentence += match.lastgroup == "sentence"
        clause += match.lastgroup in _MARKS
        if match.lastgroup not in _MARKS:
            whole = _THOUSANDS.sub("", match[0][:LONGEST].replace("'", ""))
            found.append(Token(whole.replace(",", "."), sentence, clause))
    return found


class Lexicon:
    """The ideas of one language, ready to be found."""

    def __init__(self, words: dict[str, str]):
        self.grammar = words.get("grammar", "")
        letters = [(*entry.split(" "), "")[:2] for entry in self._listed(words, "letters")]
        self._letter = str.maketrans({old: new for old, new in letters if len(old) == 1})
        self._letters = [(old, new) for old, new in letters if len(old) > 1]
        self._spellings: dict[str, str] = {}
        spellings = map(str.split, self._listed(words, "spellings"))
        self._spellings = {self._fold(old): self._fold(new) for old, new in spellings}
        self._prefixes = tuple(self._listed(words, "prefixes"))
        self.common = frozenset(map(self._fold, self._listed(words, "common")))
        self.skip = frozenset(map(self._fold, self._listed(words, "skip")))
        numbers = (entry.split(" ", 1) for entry in self._listed(words, "numbers"))
        self._numbers = {self._fold(word): number for word, number in numbers}
        self._not_typos = frozenset(map(self._fold, self._listed(words, "not_typos")))
        self._phrases, self._spans = defaultdict(list), set()
        for idea, listed in words.items():
            if idea not in RESERVED:
                for phrase in listed.split(","):
                    if items := self._items(phrase):
                        self._phrases[items[:2]].append((items, idea))
        known = {item for phrases in self._phrases.values() for items, _ in phrases for item in items}
        self._spans = {item: tuple(map(float, _SPAN.fullmatch(item).groups())) for item in known if item[0] == "<"}
        self._words = known - set(self._spans)
        self._shortened = defaultdict(set)
        for word in self._words:
            for short in _deletions(word.rstrip("*")):
                self._shortened[short].add(word)

    def _listed(self, words: dict, name: str) -> list[str]:
        return [normalise(entry).strip() for entry in words.get(name, "").split(",") if entry.strip()]

    def _fold(self, word: str) -> str:
        """The spelling under which this language knows `word`."""
        word = word.translate(self._letter)
        for old, new in self._letters:
            word = word.replace(old, new)
        return self._spellings.get(word, word)

    def _without_prefix(self, word: str) -> set[str]:
        """`word` without what may be written at its front: one prefix, or two."""
        bare = {word[len(p):] for p in self._prefixes if word.startswith(p) and len(word) - len(p) > 4 - min(len(p), 2)}
        return bare | {less for shorter in bare for less in self._without_prefix(shorter)}

    def _items(self, phrase: str) -> tuple[str, ...]:
        """The phrase as the text will be cut: what is normalised there is normalised here."""
        items = []
        for part in phrase.split():
            if _SPAN.fullmatch(part):
                items.append(part)
            else:
                cut = [self._fold(token.text) for token in tokens_of(part.rstrip("*"))]
                items += cut[:-1] + [cut[-1] + "*" * part.endswith("*")]
        return tuple(item for item in items if item not in self.skip) or tuple(items)

    def evidence(self, tokens: list[Token]) -> set[int]:
        """Which tokens, by place, speak for this language."""
        words = [self._fold(token.text) for token in tokens]
        return {place for place, word in enumerate(words) if word in self.common or word in self._words}

    def hits(self, tokens: list[Token]) -> dict[str, list[Hit]]:
        """{idea: its hits in order of place}."""
        texts = [self._fold(token.text) for token in tokens]
        places = [i for i, text in enumerate(texts) if text and text not in self.skip]  # of a lone mark nothing is left
        memory, read = {}, []
        for i in places:
            text = texts[i]
            if text not in memory:
                memory[text] = self._read(text)
            read.append(memory[text])
        for i, (one, other) in enumerate(zip(places, places[1:], strict=False)):
            joined = texts[one] + texts[other]
            if len(joined) > TYPO_LENGTH and joined in self._words:  # "over dose"
                read[i] = read[i] | {joined}
        found = defaultdict(set)
        for i, items in enumerate(read):
            following = read[i + 1] if i + 1 < len(read) else ()
            for start in [(item,) for item in items] + [(item, after) for item in items for after in following]:
                for phrase, idea in self._phrases.get(start, ()):
                    end = i + len(phrase)
                    if end <= len(read) and all(map(contains, read[i + 2:end], phrase[2:])):
                        found[idea].add(Hit(places[i], places[end - 1] + 1))
        return {idea: sorted(hits) for idea, hits in found.items()}

    def _read(self, text: str) -> frozenset[str]:
        """The words of the lexicon that `text` may stand for."""
        number = self._numbers.get(text, text)
        if number[0].isdigit():
            value = float(number)
            return frozenset({text, number} | {item for item, (a, b) in self._spans.items() if a <= value <= b})
        exact = self._exact(text)
        if not exact and self._prefixes and text not in self.common:
            exact = set().union(*map(self._exact, self._without_prefix(text)))
        if exact or text in self._not_typos or text in self.common:
            return frozenset(exact)
        once = re.sub(r"(.)\1", r"\1", text)
        doubled = {once} & self._words | {once[:n] + "*" for n in range(4, len(once) + 1)} & self._words
        return frozenset(doubled or self._misspelled(text))

    def _exact(self, text: str) -> set[str]:
        return {text} & self._words | {text[:n] + "*" for n in range(1, len(text) + 1)} & self._words

    def _misspelled(self, text: str) -> set[str]:
        if "*" in text:
            return {word for word in self._shortened.get(text.replace("*", "", 1), ()) if len(word) == len(text)}
        if len(text) < 4:
            return set()
        found = set()
        for n in range(max(4, TYPO_LENGTH - 1), len(text) + 1) if len(text) >= TYPO_LENGTH else (len(text),):
            whole, part = n == len(text), text[:n]
            for short in (part, *_deletions(part)):
                for word in self._shortened.get(short, ()):
                    stem = word.rstrip("*")
                    fits = whole or (word != stem and len(stem) >= TYPO_LENGTH)
                    if fits and _one_slip(part, stem):
                        found.add(word)
            if whole and part + "*" not in self._words:
                found |= {word for word in _deletions(part) if len(part) > TYPO_LENGTH and word in self._words}
        return found


def _deletions(word: str) -> set[str]:
    return {word[:i] + word[i + 1:] for i in range(len(word))} if len(word) > 3 else set()


def _one_slip(typed: str, word: str) -> bool:
    """One letter wrong, missing or added (long words only), or two neighbours exchanged; the first letter stands."""
    if typed[0] != word[0]:
        return typed[:2] == word[1::-1] and typed[2:] == word[2:]
    i = next((i for i, (a, b) in enumerate(zip(typed, word, strict=False)) if a != b), min(len(typed), len(word)))
    if typed[i + 2:] == word[i + 2:] and typed[i:i + 2] == word[i:i + 2][::-1]:
        return True
    return len(word) >= TYPO_LENGTH and typed[i + 1:] in (word[i + 1:], word[i:]) or (
        len(word) >= TYPO_LENGTH and typed[i:] == word[i + 1:])


def within(hits: list[Hit], low: int, high: int) -> list[Hit]:
    """Those of `hits`, which are in order, that start at `low` or later and before `high`."""
    first = bisect_right(hits, Hit(low, -1))
    return hits[first:bisect_right(hits, Hit(high, -1))]
