"""Every tab at every width that people hold, light and dark, at rest and while an answer streams: axe finds nothing
serious, nothing is asked elsewhere, no error stands in the console, nothing scrolls sideways."""

import pytest
from playwright.sync_api import expect

from tests.space.test_page import longest_answer_of


def check_while_streaming(seen, start):
    """Sets a long answer, starts it, checks the page amid it, and ends it."""
    page = seen.page
    page.get_by_role("button", name="Answer settings").locator("visible=true").click()
    longest_answer_of(page, 8000)
    start()
    stop = page.get_by_role("button", name="Stop", exact=True).locator("visible=true")
    expect(stop).to_be_visible()
    under_way = page.get_by_text("Answering").or_(page.get_by_text("a second, first after"))
    expect(under_way.locator("visible=true").first).to_be_visible()
    seen.check()
    if stop.count() and stop.is_enabled():
        stop.click()
    ended = page.get_by_text("Stopped.").or_(page.get_by_text("a second, first after"))
    expect(ended.locator("visible=true").first).to_be_visible()


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_every_tab_at_every_width(visit, width, dark):
    seen = visit(width=width, dark=dark)
    page = seen.page
    expect(page.get_by_text("fine-tuned from")).to_be_visible()
    check_while_streaming(seen, lambda: seen.ask("What is a fever?"))
    seen.shot("every-chat")

    seen.tab("Compare")
    page.get_by_label("Question for every model").fill("What is asthma?")
    check_while_streaming(seen, page.get_by_role("button", name="Compare", exact=True).click)
    seen.shot("every-compare")

    seen.tab("Results")
    expect(page.get_by_role("img", name="Change against the base")).to_be_visible()
    seen.shot("every-results")
    page.get_by_role("button", name="Privacy, waiting, your own copy").click()
    expect(page.get_by_role("heading", name="What becomes of your question")).to_be_visible()
    seen.shot("every-about")
