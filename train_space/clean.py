"""Source text to plain text, and the form in which two texts count as the same."""

import html
import re
import unicodedata

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!--.*?-->", re.S)
_PERCENT = re.compile(r"%(2[0-9A-F]|3[A-F])", re.I)  # punctuation left percent-encoded, such as %27 for an apostrophe
_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060\ufeff\x00-\x08\x0e-\x1b\x7f]")


def clean(text: str) -> str:
    """`text` without entities (also doubly escaped ones), percent codes, tags, invisible characters, extra space."""
    text = html.unescape(html.unescape(text))
    text = _PERCENT.sub(lambda m: chr(int(m[1], 16)), text)
    text = _INVISIBLE.sub("", _TAG.sub(" ", text))
    return " ".join(unicodedata.normalize("NFC", text).split())


def normal_form(text: str) -> str:
    """Equal for texts that differ only by Unicode form, case or white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
