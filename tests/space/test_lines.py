"""A full queue of questions turns away questions, never help: by every route, while all places are taken."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from gradio_client import Client
from playwright.sync_api import expect

from kira.limits import VISITORS
from kira.refusal import BUSY
from kira.settings import Settings
from tests.space.conftest import wait_until
from tests.space.test_endpoints import mcp
from tests.space.test_guard import DANGER
from tests.space.visitor import Visitor


@pytest.fixture(scope="module")
def full(space, client):
    """The Space with every place taken, by answers that only a Stop ends within a test, and nobody else let in."""
    client.predict("What is a fever?", max_new_tokens=1, api_name="/ask")  # nothing is being loaded any more
    visitors = [Visitor(space, ("ask", "compare")[i % 2], tokens=8000) for i in range(VISITORS + Settings().queue_size)]

    def stood_in_line():
        for visitor in visitors:
            if not visitor.event:
                visitor.ask()
        return all(visitor.event for visitor in visitors)

    wait_until(stood_in_line, "everybody to be let in")  # the last ones once the first ones' turn has come
    yield space
    for visitor in visitors:
        visitor.post("cancel", {"event_id": visitor.event, **visitor.where})


def test_who_already_waits_with_danger_is_let_by(space, client):
    """All who are answered go on, and nobody is refused yet."""
    client.predict("What is a fever?", max_new_tokens=1, api_name="/ask")  # nothing is being loaded any more
    visitors = [Visitor(space, tokens=8000) for _ in range(VISITORS + 1)]
    for visitor in visitors:
        visitor.ask()
    try:
        assert client.predict(DANGER, api_name="/ask")["notice"]["label"] == "emergency"
    finally:
        for visitor in visitors:
            visitor.post("cancel", {"event_id": visitor.event, **visitor.where})


def refused(space):
    turned_away = Visitor(space, tokens=4)
    turned_away.ask()
    return turned_away.refused == (503, BUSY)


def test_programs_get_fixed_words_and_triage_past_a_full_queue(full, client):
    assert refused(full)
    advice = client.predict(DANGER, api_name="/triage")["advice"]
    assert client.predict(DANGER, api_name="/ask")["answer"] == advice
    assert client.predict(DANGER, api_name="/compare")["tuned"] == advice
    assert client.predict(api_name="/results")["rows"]
    told = mcp(full, lambda session: session.call_tool("ask", {"question": DANGER}))
    assert not told.isError and "112" in told.content[0].text
    assert refused(full), "the queue was full all the time"


@pytest.mark.slow
def test_help_passes_for_many_at_once(full):
    with ThreadPoolExecutor(20) as pool:
        told = list(pool.map(lambda i: Client(full.url, verbose=False).predict(
            f"{DANGER}, {i}", api_name="/ask")["notice"]["label"], range(20)))
    assert told == ["emergency"] * 20 and refused(full)


def test_the_page_shows_fixed_words_past_a_full_queue(full, visit):
    seen = visit(url=full.url, width=390)
    seen.ask(DANGER)
    expect(seen.page.get_by_role("log")).to_contain_text("112")
    expect(seen.page.get_by_text("no model was asked").first).to_be_visible()
    seen.tab("Compare")
    seen.page.get_by_label("Question for every model").fill(DANGER)
    seen.page.get_by_role("button", name="Compare", exact=True).click()
    expect(seen.page.get_by_text("This can be a medical emergency").locator("visible=true")).to_have_count(2)
    assert refused(full)
    seen.shot("lines-full")
