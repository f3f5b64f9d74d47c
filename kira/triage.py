"""Is someone in danger? Text in, a Notice or None out, before any model is asked.

    python -m kira.triage < in.jsonl > out.jsonl     # {"id", "text"} in, {"id", "label"} out

Rules (kira/rules.py), a linear classifier (kira/classifier.py) and a small transformer (kira/encoder.py) look at the
same normalised text, and what they say is added up; where classifier and transformer are missing, rules decide alone.
Deterministic, local, no chat model. It misses some: it is software, not a clinician.
"""

import json
import sys
from dataclasses import dataclass
from functools import cache

import numpy as np

from kira import classifier, encoder
from kira.lexicon import tokens_of
from kira.notices import notice_text
from kira.rules import languages, read

EMERGENCY, CRISIS = "emergency", "crisis"
# Weight of the linear classifier's log-odds beside the transformer's. With 0, 0.25, 0.65 or 1, 98.4, 98.8, 98.9 or
# 97.3 % of held_out.jsonl's dangers fire at 0.5 % of false alarms, 99.2, 99.4, 99.4 or 98.9 % at 1 %.
LINEAR = 0.65
# A rule that speaks adds this to the log-odds of its label. Of 5,496 texts by 17 authors, all written to be hard and
# none learnt from when they were judged, rules spoke for 48 % of dangers and 12 % of harmless ones; with a weight of 1,
# 2 or 3, 80, 77 or 76 % of the dangers fired at 2 % of false alarms, 84, 84 or 83 % at 3 %, 90, 90 or 91 % at 5 %.
RULE = 2.0
# In so few words a rule decides ("I was attacked with a knife"): that found three more of those dangers, at two false
# alarms. In English, in fewer still ("I feel dizzy"), an emergency needs one: bare facts of an ordinary life are what
# the others judge worst. Elsewhere rules know fewer words: of those texts' 15 emergencies so short that no rule knew,
# the others found all.
FEW_WORDS = 6
# Below this and without a rule the linear classifier is sure, and the transformer, some 30 ms of work, is not asked:
# 1,125 of held_out.jsonl's 1,910 harmless texts are below, and of its 1,392 dangers three, in which rules speak.
CALM = -5.0
# Taken off where a text has several passages, of which one alarms by chance more often than one alone; there rules do
# not speak, as some word of theirs is in most letters. By an earlier fit, 9 of 136 harmless letters not learnt from
# fired so, 15 where rules spoke, and all 29 dangers either way; by this one 6 of 65, and all 29, either way.
LONG = 2.0
MOST_PASSAGES = 2  # of a long text, those that most alarm the linear classifier; four found one more of 47 dangers


@dataclass(frozen=True)
class Notice:
    """What to show first.

    `label`: emergency or crisis; `group`: the rule that spoke, or "classifier"; `lang`: BCP 47 tag of the text;
    `text`: fixed words with numbers to call.
    """

    label: str
    group: str
    lang: str
    text: str


def triage(text: str) -> Notice | None:
    """The notice that `text`, one message of any length and language, calls for; None when it seems to call for none.

    An emergency comes before a crisis; one that may have been meant (an overdose, say) carries the crisis line too.
    """
    reading = read(text)
    named = {group.label: group.name for group in reversed(reading.met)}
    odds = _odds(text, set(named))
    found = {label for label, value in odds.items() if value > 0}
    tokens = tokens_of(text)
    lang = languages(tokens)[0]
    if len(tokens) < FEW_WORDS and lang == "en" and EMERGENCY not in named:
        found -= {EMERGENCY}
    if len(tokens) <= FEW_WORDS or not odds:
        found |= set(named)
    if not found:
        return None
    label = EMERGENCY if EMERGENCY in named else max(found, key=lambda label: (odds.get(label, 0), label == EMERGENCY))
    meant = CRISIS in found | set(named) or any(group.crisis_line for group in reading.met)
    return Notice(label, named.get(label, "classifier"), lang, notice_text(label, lang, meant))


def _odds(text: str, named: set[str]) -> dict[str, float]:
    """Log-odds of each label in the most alarming part of `text`, above what fires; empty without a classifier."""
    if (linear := classifier.load("triage/classifier")) is None:
        return {}
    kind, found, long = "linear", by_words(text), len(encoder.passages(text)) > 1
    if named or found[1:].max() >= CALM:
        kind, found = by_both(text, found)
    rule = 0.0 if long and kind == "both" else RULE
    return {label: value + rule * (label in named) - thresholds()[kind][label]
            for label, value in zip(linear.classes[1:], found[1:].tolist(), strict=True)}


def by_words(text: str) -> np.ndarray:
    """The linear classifier's log-odds (classes,) of the part of `text` that alarms it most."""
    linear = classifier.load("triage/classifier")
    return _most_alarming([linear.scores(part) for part in classifier.windows(text)])


def by_both(text: str, words: np.ndarray) -> tuple[str, np.ndarray]:
    """Who read, "both" or "linear", and the log-odds (classes,); `words` are those of `by_words`."""
    if not (reader := encoder.load("triage/encoder")) or not encoder.is_read(text):
        return "linear", words
    parts = encoder.passages(text)
    if len(parts) > MOST_PASSAGES:
        linear = classifier.load("triage/classifier")
        alarm = [linear.scores(part)[1:].max() for part in parts]
        parts = [parts[i] for i in sorted(np.argsort(alarm)[-MOST_PASSAGES:])]
    return "both", _most_alarming(reader.scores(parts)) + LINEAR * words - LONG * (len(parts) > 1)


def _most_alarming(scores) -> np.ndarray:
    scores = np.asarray(scores)
    return scores[scores[:, 1:].max(1).argmax()]


@cache
def thresholds() -> dict[str, dict[str, float]]:
    """What each label's log-odds must exceed: of the classifier alone ("linear") and with the transformer ("both")."""
    return json.loads((classifier.FOLDER / "triage" / "thresholds.json").read_text("utf-8"))["log_odds"]


def warm_up() -> None:
    """Reads the word lists and the weights, seconds of work, so that the first person in danger need not wait."""
    triage("hello")
    if reader := encoder.load("triage/encoder"):
        reader.scores(["hello"])


def triage_conversation(turns: list[str]) -> Notice | None:
    """The notice for a person's messages of one conversation, oldest first.

    A danger told earlier still stands, and one may be told in two halves, in messages that follow each other. The
    latest emergency counts, then the latest crisis.
    """
    found = [triage(turn) for turn in turns]
    found += [triage(f"{before}\n{after}") for before, after in zip(turns, turns[1:], strict=False)]
    ranked = [notice for label in (EMERGENCY, CRISIS) for notice in reversed(found) if notice and notice.label == label]
    return ranked[0] if ranked else None


def _row(line: str) -> dict:
    row = json.loads(line)
    if not isinstance(row, dict) or "id" not in row or not isinstance(row.get("text"), str):
        raise ValueError
    return row


def main() -> int:
    """Labels lines as they come. Exit status 1 when a line was no {"id", "text"}: each is named on stderr."""
    status = 0
    for number, raw in enumerate(sys.stdin.buffer, 1):
        if not raw.strip():
            continue
        try:
            row = _row(raw.decode("utf-8"))
        except (ValueError, RecursionError):
            print(f'Line {number} is not a JSON object with "id" and a string "text".', file=sys.stderr, flush=True)
            status = 1
            continue
        notice = triage(row["text"])
        print(json.dumps({"id": row["id"], "label": notice.label if notice else "none"}), flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
