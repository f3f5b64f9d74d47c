"""The Chat tab beyond asking: keep, undo, edit, copy, like, report, cached examples, answers from their start."""

import re

import pytest
from playwright.sync_api import expect

from kira import chat_tab
from kira.examples import EXAMPLES, Cache
from kira.step import Step
from tests.space import conftest
from tests.space.conftest import Space, environment, wait_until

KEPT = "() => localStorage.getItem('kira-conversation')"
TRICKY = "What is <b>a fever</b> &amp; a chill?"
DANGER = "I have crushing chest pain and my left arm is numb"


@pytest.fixture
def chat(visit):
    """A page whose model has loaded."""
    def open_page(**options):
        seen = visit(**options)
        expect(seen.page.get_by_text("fine-tuned from")).to_be_visible()
        seen.talk = seen.page.get_by_label("chatbot conversation")
        seen.press = lambda name: seen.page.get_by_role("button", name=name, exact=True).click()
        return seen

    return open_page


def test_a_conversation_is_kept_only_on_request_and_forgotten_at_once(chat):
    seen = chat()
    page, keep = seen.page, seen.page.get_by_label("Keep this conversation")
    seen.ask(TRICKY)
    seen.finished()
    assert page.evaluate(KEPT) is None
    keep.check()
    wait_until(lambda: page.evaluate(KEPT), "the browser to keep it")
    page.reload()
    expect(seen.talk.get_by_text(TRICKY)).to_be_visible()
    expect(keep).to_be_checked()
    keep.uncheck()
    wait_until(lambda: page.evaluate(KEPT) is None, "the browser to forget")
    page.reload()
    expect(page.get_by_text("Ask about a medical term")).to_be_visible()
    keep.check()
    seen.ask("What is a cough?")
    wait_until(lambda: page.evaluate(KEPT), "the browser to keep the new one")
    seen.press("Clear")
    wait_until(lambda: page.evaluate(KEPT) is None, "Clear to forget")
    page.evaluate("""() => localStorage.setItem('kira-conversation', JSON.stringify(
        [{role: 'user', text: '<img src=x onerror="window.bad = 1">', by: ''}]))""")
    page.reload()
    expect(seen.talk.get_by_text("<img src=x")).to_be_visible()
    assert page.evaluate("window.bad") is None
    seen.check()


@pytest.mark.slow
def test_a_kept_conversation_outlives_the_server(chat, hub, published, tmp_path, monkeypatch):
    port = conftest.free_port()
    monkeypatch.setattr(conftest, "free_port", lambda: port)  # one origin for the browser
    for number in range(2):
        running = Space(environment(hub, published.home), tmp_path / f"log-{number}")
        try:
            wait_until(running.answers, "the page")
            if number == 0:
                seen = chat(url=running.url)
                seen.page.get_by_label("Keep this conversation").check()
                seen.ask(TRICKY)
                seen.finished()
                continue
            seen.page.reload()
            expect(seen.talk.get_by_text(TRICKY)).to_be_visible()
            expect(seen.page.get_by_text("fine-tuned from")).to_be_visible()
            seen.press("Retry")  # the new server reads what the old one wrote
            seen.finished()
        finally:
            running.stop()


def test_undo_edit_copy_like_and_report(chat, published):
    seen = chat()
    page, box = seen.page, seen.page.get_by_label("Your question")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    seen.press("Copy answer")
    expect(page.get_by_text("nothing to copy yet")).to_be_visible()
    for question in ("What is a fever?", "Is 3 < 4 & 5?"):
        seen.ask(question)
        expect(seen.talk.get_by_text(question)).to_be_visible()
        seen.finished()
    seen.press("Copy answer")
    expect(page.get_by_text("Copied, with")).to_be_visible()
    by = f"Written by: kira/tiny-lora@{published.shas['main']}"
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.count(by) == 1 and "It is not a doctor" in copied and "Question:" not in copied
    seen.press("Copy all")
    wait_until(lambda: "Question: Is 3 < 4 & 5?" in page.evaluate("navigator.clipboard.readText()"), "the whole of it")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.count(by) == 2 and copied.count("It is not a doctor") == 1
    seen.talk.get_by_role("button", name="Like", exact=True).last.click()
    expect(page.get_by_text("nothing is sent or stored")).to_be_visible()
    seen.press("Edit")
    expect(box).to_have_value("Is 3 < 4 & 5?")
    expect(box).to_be_focused()
    expect(seen.talk.get_by_text("Is 3 < 4")).to_have_count(0)
    seen.press("Undo")
    expect(page.get_by_text("Ask about a medical term")).to_be_visible()
    page.get_by_role("button", name="Report a bad answer").click()
    link = page.get_by_role("link", name="Open the discussions")
    expect(link).to_have_attribute("href", re.compile("/kira/tiny-lora/discussions/new$"))
    seen.check()


def test_an_example_is_answered_once_and_then_from_the_cache(chat):
    texts = []
    for _ in range(2):
        seen = chat()
        seen.press(EXAMPLES[3])
        ended = re.compile("a second, first after|From the cache")
        expect(seen.page.get_by_text(ended).locator("visible=true")).to_be_visible()
        texts.append(seen.talk.inner_text())
    assert texts[0] == texts[1]
    expect(seen.page.get_by_text("From the cache")).to_be_visible()
    seen.press("Clear")
    seen.page.get_by_role("button", name="Answer settings").locator("visible=true").click()
    seen.page.get_by_label("Reproducible").uncheck()
    seen.press(EXAMPLES[3])
    expect(seen.page.get_by_text("Drawn with seed")).to_be_visible()


@pytest.mark.parametrize("width, dark", [(390, True), (1280, False)])
def test_fixed_words_start_in_view(chat, width, dark):
    seen = chat(width=width, dark=dark)
    seen.ask("What is a fever?")
    seen.finished()
    seen.ask(DANGER)
    expect(seen.page.get_by_text("no model was asked")).to_be_visible()

    def from_the_start():
        view, answer = seen.talk.bounding_box(), seen.talk.locator(".bot.message").last.bounding_box()
        return max(view["y"], 0) <= answer["y"] <= min(view["y"] + view["height"], 844) - 60

    wait_until(from_the_start, "the first words to be in view", 10)
    seen.shot("danger")


def test_what_the_model_no_longer_sees_is_counted(monkeypatch):
    """Turns over the limit on their number and turns over the model's length, together."""
    told = Step(["Yes."], [2], forgotten=2, seconds=1, ended="stop")
    monkeypatch.setattr(chat_tab, "answers", lambda *_: iter([(told, None)]))
    monkeypatch.setattr(chat_tab.service, "speaker", conftest.Published)
    monkeypatch.setattr(chat_tab, "called", lambda _: "a/model@1")
    history = [{"role": role, "content": "x"} for role in ("user", "assistant")] * 12
    (_, talk, line), = chat_tab.chat("Why?", history, 60, 0, 1, 0)
    assert "Kira no longer sees the first 6 messages" in line
    assert talk[-1]["metadata"] == {"id": "a/model@1"}


def test_only_greedy_first_questions_are_cached():
    cache, answer = Cache(), Step(["Long fingers."], [3], ended="stop")
    cache.keep(EXAMPLES[0], [], 60, 0, answer)
    assert cache.find(EXAMPLES[0], [], 60, 0) is answer
    for other in ((EXAMPLES[0], [], 61, 0), (EXAMPLES[0], [], 60, 0.5), (EXAMPLES[0], [{}], 60, 0), ("x", [], 60, 0),
                  ([], {}, "60", None), (EXAMPLES[0], [], True, False)):
        assert cache.find(*other) is None
    cache.keep("Is this mine?", [], 60, 0, answer)
    cache.keep(EXAMPLES[1], [], 60, 0, Step(["Cut sh"], [2], ended="deadline"))
    assert cache.find("Is this mine?", [], 60, 0) is cache.find(EXAMPLES[1], [], 60, 0) is None
