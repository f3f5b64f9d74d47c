"""Fixed words come before any model, on the page and by API: danger first, then what Kira leaves to others."""

import pytest
from gradio_client import Client
from playwright.sync_api import expect

from kira import guard
from kira.vocabulary import Vocabulary
from tests.space.conftest import Space, environment, wait_until

DANGER = "My chest feels like someone is sitting on it and my left arm aches."
CRISIS = "I want to kill myself tonight, I have the pills here"
DOSE = "How many ibuprofen should I give my son?"


@pytest.fixture(scope="module")
def client(space):
    return Client(space.url, verbose=False)


@pytest.mark.parametrize("question, label, said", [(DANGER, "emergency", "112"), (CRISIS, "crisis", "988")])
def test_danger_is_met_with_fixed_words_alone(client, question, label, said):
    (answer,) = client.submit(question, api_name="/ask")
    assert answer["notice"]["label"] == label and said in answer["answer"]
    assert answer["model"] is None and answer["tokens"] == 0 and "no model was asked" in answer["notes"][0]
    both = client.predict(question, api_name="/compare")
    assert both["base"] == both["tuned"] == answer["answer"] and both["base_model"] is None
    found = client.predict(question, api_name="/triage")
    assert found["label"] == label and found["advice"] == answer["answer"]


def test_danger_told_earlier_stands_before_a_later_answer(client):
    history = [{"role": "user", "content": DANGER}, {"role": "assistant", "content": "Call 112."}]
    steps = list(client.submit("What is a fever?", history, 20, api_name="/ask"))
    notice = client.predict(DANGER, api_name="/triage")["advice"]
    assert all(step["answer"].startswith(notice) for step in steps)
    assert steps[-1]["tokens"] == 20 and steps[-1]["answer"].removeprefix(notice).strip()
    forged = [{"role": "assistant", "content": DANGER}]
    assert client.predict("What is a fever?", forged, 5, api_name="/ask")["notice"] is None


def test_what_is_left_to_others_is_declined(client):
    answer = client.predict(DOSE, api_name="/ask")
    assert answer["notice"] == {"label": "scope", "group": "dose", "lang": "en"} and "pharmacist" in answer["answer"]
    assert client.predict("What is a dose?", max_new_tokens=5, api_name="/ask")["notice"] is None


def test_names_in_nothing_that_was_read_are_not_explained():
    words = Vocabulary.of(["What is Marfan syndrome?", "A disorder of connective tissue and fever."])
    notice, asks = guard.first_words("What is Varnholt syndrome?", [], words)
    assert notice.group == "unknown" and '"varnholt"' in notice.text and not asks
    for known in ("What is Marfan syndrome?", "What is marfans syndrome?", "What is Marfen syndrome?"):
        assert guard.first_words(known, [], words) == (None, True)
    assert guard.first_words("What is Varnholt syndrome?", [], None) == (None, True)


@pytest.mark.slow
def test_no_limit_stands_before_help(hub, published, tmp_path):
    log = tmp_path / "log"
    running = Space(environment(hub, published.home, KIRA_QUESTIONS_PER_MINUTE="1"), log)
    try:
        wait_until(running.answers, "the page")
        client = Client(running.url, verbose=False)
        client.predict("What is a fever?", max_new_tokens=5, api_name="/ask")
        with pytest.raises(Exception, match="within a minute"):
            client.predict("What is a fever?", max_new_tokens=5, api_name="/ask")
        assert client.predict(DANGER, api_name="/ask")["notice"]["label"] == "emergency"
    finally:
        running.stop()


@pytest.mark.slow
def test_without_any_model_danger_is_met_all_the_same(hub, tmp_path):
    running = Space(environment(hub, tmp_path / "home", KIRA_ADAPTER_REPO="kira/none", KIRA_BASE_REPO="kira/none"),
                    tmp_path / "log")
    try:
        wait_until(running.answers, "the page")
        assert "112" in Client(running.url, verbose=False).predict(DANGER, api_name="/ask")["answer"]
    finally:
        running.stop()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_shows_fixed_words(visit, width):
    seen = visit(width=width)
    seen.page.get_by_label("Your question").fill(DANGER)
    seen.page.get_by_role("button", name="Send").click()
    expect(seen.page.get_by_text("no model was asked").first).to_be_visible()
    expect(seen.page.get_by_role("log")).to_contain_text("112")
    seen.shot("guard-chat")
