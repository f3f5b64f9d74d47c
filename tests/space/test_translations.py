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


# Texts of the page that a sighted or blind reader meets, without what says of itself that it is English.
READ = """() => {
  const found = [], skip = '[lang=en]:not(html), [role=log], .kira-plain, .kira-examples, code, svg, script, style';
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walk.nextNode();) if (!node.parentElement.closest(skip)) found.push(node.data.trim());
  for (const each of document.querySelectorAll('[aria-label], [placeholder]'))
    if (!each.closest(skip)) found.push(each.ariaLabel ?? '', each.placeholder ?? '');
  return found;
}"""


def nothing_english(page, language):
    """No text of en.json is read where the other language has another one."""
    english, theirs = ({**TEXTS[name]["browser"], **TEXTS[name]["server"]} for name in ("en", language))
    read = set(page.evaluate(READ))
    assert len(read) > 30 and not read & (set(english.values()) - set(theirs.values()))


@pytest.mark.parametrize("locale, language", [("fr-CA", "fr"), ("de-DE", "de"), ("pt-BR", "pt"), ("nl-NL", "en")])
def test_the_page_follows_the_browser_s_language(visit, locale, language):
    page, say = (seen := visit(width=390, locale=locale)).page, TEXTS[language]
    expect(page.locator("header .speaks")).to_contain_text(say["server"]["speaks_tuned"].split("{")[0])
    assert page.evaluate("document.documentElement.lang").split("-")[0] == language
    expect(page.get_by_text(say["browser"]["disclaimer"]).locator("visible=true")).to_be_visible()
    if language != "en":
        nothing_english(page, language)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") and not seen.complaints


@pytest.mark.parametrize("locale, language, width, dark", [("es-ES", "es", 390, False), ("hi-IN", "hi", 1280, True)])
def test_chat_compare_and_results_in_another_language(visit, locale, language, width, dark):
    seen = visit(width=width, dark=dark, locale=locale)
    page, say = seen.page, {**TEXTS[language]["browser"], **TEXTS[language]["server"]}

    def finished():
        expect(page.get_by_text(say["length"]).locator("visible=true")).to_be_visible()

    expect(page.locator("header .speaks")).to_contain_text(say["speaks_tuned"].split("{")[0])
    page.get_by_label(say["your_question"]).fill("What is a fever?")
    page.get_by_role("button", name=say["send"], exact=True).click()
    finished()
    page.evaluate("navigator.clipboard.writeText = async text => { window.copied = text }")
    page.get_by_role("button", name=say["copy_all"]).click()
    expect(page.get_by_text(say["copied"])).to_be_visible()
    assert say["disclaimer"] in page.evaluate("window.copied")
    expect(page.locator("#kira-talk button").locator("visible=true")).to_have_count(2)  # like and dislike alone
    page.get_by_role("button", name=say["settings"]).locator("visible=true").click()
    nothing_english(page, language)
    seen.shot(f"{language}-chat")

    seen.tab(say["tab_compare"])
    page.get_by_label(say["blind"]).check()
    page.get_by_label(say["every_model"]).fill("What is fever, case 0?")
    page.get_by_role("button", name=say["compare"], exact=True).click()
    finished()
    page.get_by_role("button", name=say["vote_both_bad"]).click()
    voted = {"votes": 1, "good": 0, "bad": 1}
    expect(page.get_by_text(say["tally_undecided"].format(**voted))).to_be_visible()
    expect(page.get_by_role("region", name=say["scores_caption"])).to_be_visible()
    nothing_english(page, language)
    seen.shot(f"{language}-compare")

    seen.tab(say["tab_results"])
    expect(page.get_by_role("region", name=say["headline_caption"])).to_contain_text(say["unchanged"])
    expect(page.get_by_text(say["do_not_rely"])).to_be_visible()
    page.get_by_label(say["order"]).click()
    page.get_by_role("option", name=say["order_worst"], exact=True).click()
    expect(page.get_by_label(say["question_count"].format(matching=24, total=24))).to_have_value(
        "What is arthritis, case 10?")
    nothing_english(page, language)
    seen.shot(f"{language}-results")


def test_stop_is_told_in_the_visitor_s_language(visit, space):
    seen = visit(url=f"{space.url}#compare=What is a fever?&tokens=8000", locale="es-ES")
    page, say = seen.page, TEXTS["es"]["browser"]
    expect(page.get_by_label(say["every_model"])).to_have_value("What is a fever?")
    page.get_by_role("button", name=say["compare"], exact=True).click()
    expect(page.get_by_text(say["answering"]).locator("visible=true")).to_be_visible()
    page.get_by_role("button", name=say["stop"], exact=True).click()
    expect(page.get_by_text(say["stopped"]).locator("visible=true")).to_be_visible()
