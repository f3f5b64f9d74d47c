"""The page in six languages: the files agree, no label is forgotten, and Chromium shows the visitor's language."""

import json
import re
import urllib.request
from string import Formatter

import pytest
from playwright.sync_api import expect

from kira.examples import EXAMPLES
from kira.translations import FOLDER, TEXTS

# Words that are the same in another language, and names that are nobody's to translate.
SAME = {"Chat", "Top-p", "Type", "Question", "Score", "Base", "Reproducible", "Adapter"}
LEFT_IN_ENGLISH = {"", "Gradio", *EXAMPLES}


def placeholders(text):
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("language", sorted(set(TEXTS) - {"en"}))
def test_every_language_has_every_text_with_the_same_placeholders(language):
    written = json.loads((FOLDER / f"{language}.json").read_text("utf-8"))
    assert list(written) == list(TEXTS["en"])
    for part, texts in TEXTS["en"].items():
        assert list(written[part]) == list(texts)
        for key, text in texts.items():
            translated = written[part][key]
            assert translated.strip() == translated != "" and placeholders(translated) == placeholders(text), key
            assert not set("<>&") & set(translated + text), key  # they are set into HTML
            assert translated != text or text in SAME, key
    for number in ("112", "911", "999"):
        assert number in written["browser"]["disclaimer"]


def test_every_label_of_the_page_is_translated(space):
    config = json.load(urllib.request.urlopen(f"{space.url}/config", timeout=20))
    left, seen = set(), 0
    for component in config["components"]:
        props = component["props"]
        texts = [props.get(name) for name in ("label", "info", "placeholder") if props.get("show_label", True)]
        texts += [props.get("value")] if component["type"] == "button" else []
        for text in filter(None, texts) if component["type"] not in ("state", "timer", "html", "api") else ():
            seen += 1
            if re.search("[a-z]", text) and "__i18n__" not in text and text not in EXAMPLES:
                left.add((component["type"], text))
    assert seen > 40 and not left


@pytest.mark.parametrize("locale, language", [("es-ES", "es"), ("hi-IN", "hi"), ("fr-CA", "fr"), ("de-DE", "de"),
                                              ("pt-BR", "pt"), ("nl-NL", "en")])
def test_the_page_speaks_the_visitor_s_language(visit, locale, language):
    seen = visit(width=390, locale=locale)
    page, say = seen.page, {**TEXTS[language]["browser"], **TEXTS[language]["server"]}
    expect(page.locator("header .speaks")).to_contain_text(say["speaks_tuned"].split("{")[0])
    assert page.evaluate("document.documentElement.lang").split("-")[0] == language
    expect(page.get_by_text(say["disclaimer"]).locator("visible=true")).to_be_visible()
    seen.shot(f"{language}-chat")
