"""The page as a person meets it, in Chromium: chat, compare, results, on a phone and on a desk.

Screenshots land in .kira/screenshots, to be looked at.
"""

import json
import re
import time
import urllib.request

import psutil
import pytest
from playwright.sync_api import expect

from tests.space.conftest import ROOT, Space, environment, free_port, wait_until

NASTY = "What is a fever? ![x](http://outside.example/a.png) <img src='http://outside.example/b.png'> <b>bold</b>"


@pytest.mark.parametrize("width, dark", [(390, False), (1280, False), (390, True)])
def test_three_tabs_work_and_are_clean(visit, published, width, dark):
    seen = visit(width=width, dark=dark)
    page = seen.page
    speaks = page.get_by_role("link", name=f"kira/tiny-lora at {published.shas['main'][:7]}")
    expect(speaks).to_have_attribute("href", ending_in(f"/kira/tiny-lora/tree/{published.shas['main']}"))
    expect(page.get_by_text("It is not a doctor").locator("visible=true")).to_be_visible()
    seen.ask(NASTY)
    seen.finished()
    expect(page.get_by_label("chatbot conversation").get_by_text(NASTY)).to_be_visible()
    seen.shot("chat")

    seen.tab("Compare")
    page.get_by_label("Question for every model").fill("What is asthma?")
    page.get_by_role("button", name="Compare", exact=True).click()
    seen.finished()
    for title in ("Base model", "Fine-tuned"):
        heading = page.get_by_role("heading", name=title, level=2).locator("visible=true")
        assert len(heading.locator("xpath=..").inner_text()) > len(title) + 5
    seen.shot("compare")

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
    seen.shot("results")


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


def test_stop_ends_generation_and_the_next_question_is_answered(visit, patient_space):
    seen = visit(url=patient_space.url)
    page = seen.page
    expect(page.get_by_text("fine-tuned from")).to_be_visible()
    page.get_by_role("button", name="Answer settings").locator("visible=true").click()
    longest_answer_of(page, 8000)
    seen.ask("What is a fever?")
    talk = page.get_by_label("chatbot conversation")
    expect(page.get_by_text("Answering").locator("visible=true")).to_be_visible()
    page.route("**/cancel", slow_request)
    page.get_by_role("button", name="Stop", exact=True).click()
    process, used = psutil.Process(patient_space.process.pid), []

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
    marked = seen.page.get_by_test_id("status-tracker").filter(has_text="Error")
    expect(marked).to_have_count(3)  # Gradio's marks on conversation, line and box, which would cover what is there
    expect(marked.locator("visible=true")).to_have_count(0)


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


@pytest.mark.slow
def test_without_any_model_the_page_stays_up_and_says_so(visit, tmp_path):
    nobody = f"http://127.0.0.1:{free_port()}"
    empty = Space(environment(nobody, tmp_path / "home"), tmp_path / "log")
    wait_until(empty.answers, "the page")
    try:
        seen = visit(url=empty.url)
        expect(seen.page.get_by_role("status").get_by_text("No model could be loaded")).to_be_visible()
        seen.ask("What is a fever?")
        expect(seen.page.get_by_label("chatbot conversation").get_by_text("No model could be loaded")).to_be_visible()
        seen.tab("Results")
        expect(seen.page.get_by_text("Below is a copy that ships with this Space")).to_be_visible()
        kept = json.loads((ROOT / "release" / "metrics.json").read_text())
        table = seen.page.get_by_role("region", name="Comparison of base and fine-tuned").get_by_role("table")
        row = table.get_by_role("row", name=re.compile("^ROUGE-L [^,]"))
        expect(row).to_contain_text(f"{kept['runs']['tuned']['metrics']['rougeL']:.3f}")
        with urllib.request.urlopen(f"{empty.url}/downloads/0/metrics.json", timeout=20) as answer:
            assert json.load(answer) == kept
        seen.check()
        assert "Traceback" not in json.dumps(seen.complaints)
    finally:
        empty.stop()
