"""The page's own words in each language: kira/data/interface/LANGUAGE.json, of which en.json is the reference.

Words of "browser" stand in the page from the start, and Gradio picks their language in the browser; words of "server"
are part of what an event answers. What a model writes, questions, fixed advice, errors and all that programs get are
not translated here.
"""

import json
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("data") / "interface"
TEXTS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}
SCRIPT = Path(__file__).with_name("translations.js").read_text("utf-8")
PREFIX = "kira_"  # Gradio has keys of its own beside ours, "label" among them


@cache
def gradio_translations():
    """For `launch(i18n=...)`; a page that is launched without it is English throughout."""
    import gradio as gr

    return gr.I18n(**{language: {PREFIX + key: text for key, text in texts["browser"].items()}
                      for language, texts in TEXTS.items()})


def here(key: str):
    """A text of "browser" as a component's label, placeholder, info or value, or within HTML, there once at most.

    Gradio's object answers every string method with itself, so `html.escape` leaves it whole.
    """
    if key not in TEXTS["en"]["browser"]:
        raise KeyError(key)
    return gradio_translations()(PREFIX + key)


def say(key: str, **values) -> str:
    """A text in the language of the visitor whose request is served, with its {placeholders} filled."""
    return _text(_language(), key).format(**values)


def english(key: str, **values) -> str:
    """The same for programs and files."""
    return _text("en", key).format(**values)


def _text(language: str, key: str) -> str:
    texts = TEXTS[language]
    return texts["server"][key] if key in texts["server"] else texts["browser"][key]


def _language() -> str:
    """As the browser chooses, for pages with translations: its first language, where we have it, else English."""
    from gradio.context import LocalContext

    request, page = LocalContext.request.get(None), LocalContext.blocks.get(None)
    if request is None or not getattr(page, "i18n_instance", None):
        return "en"
    first = request.headers.get("accept-language", "").split(",")[0].split(";")[0]
    language = first.strip().lower().split("-")[0]
    return language if language in TEXTS else "en"
