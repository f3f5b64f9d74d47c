"""What is said before a model is asked, to people and programs alike: danger first, then what is left to others."""

import logging

from kira.notices import notice_text
from kira.scope import decline
from kira.triage import Notice, triage, triage_conversation
from kira.vocabulary import Vocabulary


def danger_in(question, most_chars: int) -> Notice | None:
    """The notice for the first `most_chars` of what was asked, fit for a model or not; None where it is no text.

    What triage fails on is met as a danger: nobody is left without a number to call.
    """
    if not isinstance(question, str):
        return None
    try:
        return triage(question[:most_chars])
    except Exception:
        logging.getLogger("kira").exception("triage failed")
        return Notice("emergency", "unread", "en", notice_text("emergency", "en", crisis_line=True))


def first_words(question: str, history: list[dict], vocabulary: Vocabulary | None) -> tuple[Notice | None, bool]:
    """(the notice that comes before everything else or None, whether a model answers too), where `danger_in` saw none.

    Of the conversation only what the person said counts. A danger told with the message before is met with its notice
    alone; one told earlier stands before whatever is answered now.
    """
    said = [turn["content"] for turn in history if turn["role"] == "user"]
    earlier = triage_conversation(said)
    if said and not earlier and (told_in_two := triage(f"{said[-1]}\n{question}")):
        return told_in_two, False
    declined = decline(question, vocabulary)
    if declined and earlier:
        return Notice(earlier.label, earlier.group, earlier.lang, f"{earlier.text}\n\n{declined.text}"), False
    return earlier or declined, not declined
