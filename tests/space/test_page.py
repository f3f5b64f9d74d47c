"""The page as a person meets it, in Chromium: chat, compare, results, on a phone and on a desk.

Screenshots land in .kira/screenshots, to be looked at.
"""

import json
import re
import time

import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from tests.space.conftest import ROOT, Space, environment, free_port, wait_until

SHOTS = ROOT / ".kira" / "screenshots"
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--no-first-run"]
NASTY = "What is a fever? ![x](http://outside.example/a.png) <img src='http://outside.example/b.png'> <b>bold</b>"
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        yield chromium
        chromium.close()


class Visit:
    """An open page that remembers what it asked of other hosts and what it complained about."""

    def __init__(self, browser, url, width=1280, dark=False):
        self.page = browser.new_page(viewport={"width": width, "height": 844},
                                     color_scheme="dark" if dark else "light")
        self.outside, self.complaints = [], []
        self.page.on("request", lambda r: r.url.startswith((url, "data:", "blob:")) or self.outside.append(r.url))
        self.page.on("console", lambda m: m.type == "error" and self.complaints.append(m.text))
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.goto(url)

    def tab(self, name):
        self.page.get_by_role("tab", name=name).click()

    def ask(self, text):
        self.page.get_by_label("Your question").fill(text)
        self.page.get_by_role("button", name="Send", exact=True).click()

    def finished(self):
        expect(self.page.get_by_text("a second, first after").locator("visible=true")).to_be_visible()

    def check(self):
        """No sideways scrolling, nothing that axe calls serious, no request elsewhere, no complaint."""
        assert self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        found = [(v["id"], v["nodes"][0]["html"]) for v in Axe().run(self.page).response["violations"]
                 if v["impact"] in ("serious", "critical")]
        assert not found and not self.outside and not self.complaints


@pytest.fixture
def visit(browser, space):
    visits = []

    def open_page(url=space.url, **options):
        visits.append(Visit(browser, url, **options))
        return visits[-1]

    yield open_page
    for each in visits:
        each.page.close()


@pytest.mark.parametrize("width, dark", [(390, False), (1280, False), (390, True)])
def test_three_tabs_work_and_are_clean(visit, published, width, dark):
    SHOTS.mkdir(parents=True, exist_ok=True)
    seen = visit(width=width, dark=dark)
    page = seen.page

    def shot(tab):
        seen.check()
        page.screenshot(path=SHOTS / f"{tab}-{width}{'-dark' if dark else ''}.png", full_page=True)

    speaks = page.get_by_role("link", name=f"kira/tiny-lora at {published.shas['main'][:7]}")
    expect(speaks).to_have_attribute("href", ending_in(f"/kira/tiny-lora/tree/{published.shas['main']}"))
    expect(page.get_by_text("It is not a doctor").locator("visible=true")).to_be_visible()
    seen.ask(NASTY)
    seen.finished()
    expect(page.get_by_label("chatbot conversation").get_by_text(NASTY)).to_be_visible()
    shot("chat")

    seen.tab("Compare")
    page.get_by_label("Question for both models").fill("What is asthma?")
    page.get_by_role("button", name="Compare", exact=True).click()
    seen.finished()
    for title in ("Base model", "Fine-tuned"):
        heading = page.get_by_role("heading", name=title, level=2).locator("visible=true")
        assert len(heading.locator("xpath=..").inner_text()) > len(title) + 5
    shot("compare")

    seen.tab("Results")
    table = page.get_by_role("region", name="Comparison of base and fine-tuned").get_by_role("table")
    expect(table.get_by_role("row", name="ROUGE-L")).to_contain_text("+0.120 to +0.200")
    expect(table.get_by_role("row", name="Repetition rate")).to_contain_text("no significant change")
    expect(page.get_by_role("img", name="Loss over training steps")).to_be_visible()
    expect(page.get_by_role("img", name="ROUGE-L on 8 validation rows over training steps")).to_be_visible()
    expect(page.get_by_role("img", name="Change against the base")).to_be_visible()
    expect(page.get_by_text("It is <b>something</b> else.")).to_be_visible()
    page.get_by_label("Filter by words").fill("asthma")
    expect(page.get_by_text("Question (4 of 24)")).to_be_visible()
    reference = page.get_by_role("heading", name="Reference answer").locator("xpath=..")
    expect(reference).to_contain_text("Asthma is a finding")
    shot("results")


def ending_in(ending):
    return re.compile(re.escape(ending) + "$")


def longest_answer_of(page, tokens):
    """Sets the slider as often as needed: one that is typed into while its accordion opens falls back."""
    def is_set():
        number = page.get_by_label("number input for Longest answer").locator("visible=true")
        number.fill(str(tokens))
        number.blur()
        page.wait_for_timeout(300)
        return number.input_value() == str(tokens)

    wait_until(is_set, "the slider to keep its value")


def slow_request(route):
    """A request that travels for a second, in which the answer streams on."""
    time.sleep(1)
    route.continue_()


def test_stop_ends_generation_and_the_next_question_is_answered(visit, space):
    seen = visit()
    page = seen.page
    expect(page.get_by_text("fine-tuned from")).to_be_visible()
    page.get_by_role("button", name="Answer settings").locator("visible=true").click()
    longest_answer_of(page, 8000)
    seen.ask("What is a fever?")
    talk = page.get_by_label("chatbot conversation")
    expect(page.get_by_text("Answering").locator("visible=true")).to_be_visible()
    page.route("**/cancel", slow_request)
    page.get_by_role("button", name="Stop", exact=True).click()
    process, used = psutil.Process(space.process.pid), []

    def at_rest():
        used.append(process.cpu_times().user)
        return len(used) > 12 and used[-1] - used[-12] < 0.3

    wait_until(at_rest, "generation to end")
    expect(page.get_by_text("Stopped.")).to_be_visible()
    page.unroute("**/cancel")
    longest_answer_of(page, 20)
    page.get_by_role("button", name="Retry").click()
    seen.finished()
    expect(talk.get_by_text("What is a fever?")).to_have_count(1)
    page.get_by_role("button", name="What does hypertension mean?").click()
    expect(talk.get_by_text("What does hypertension mean?")).to_be_visible()
    seen.finished()
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(talk.get_by_text("What is a fever?")).to_have_count(0)
    seen.check()


def test_an_empty_question_is_answered_with_a_sentence(visit):
    seen = visit()
    seen.ask("   ")
    expect(seen.page.get_by_text("Please type a question.")).to_be_visible()


def test_base_alone_shows_a_notice_and_no_results(visit, hub, published, tmp_path):
    alone = Space(environment(hub, published.home, KIRA_ADAPTER_REVISION=published.shas["bit-flip"]), tmp_path / "log")
    wait_until(alone.answers, "the page")
    try:
        seen = visit(url=alone.url, width=390)
        expect(seen.page.get_by_text("does not match its manifest")).to_be_visible()
        seen.ask("What is a fever?")
        seen.finished()
        seen.tab("Results")
        expect(seen.page.get_by_text("There are no published results")).to_be_visible()
        seen.check()
    finally:
        alone.stop()


def test_without_any_model_the_page_stays_up_and_says_so(visit, tmp_path):
    nobody = f"http://127.0.0.1:{free_port()}"
    empty = Space(environment(nobody, tmp_path / "home"), tmp_path / "log")
    wait_until(empty.answers, "the page")
    try:
        seen = visit(url=empty.url)
        expect(seen.page.get_by_role("status").get_by_text("No model could be loaded")).to_be_visible()
        seen.ask("What is a fever?")
        expect(seen.page.get_by_label("chatbot conversation").get_by_text("No model could be loaded")).to_be_visible()
        assert "Traceback" not in json.dumps(seen.complaints)
    finally:
        empty.stop()
