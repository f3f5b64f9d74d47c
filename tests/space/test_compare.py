"""Compare as a person uses it, in Chromium: differences, a test question, blind votes that are kept, links, exports."""

import json
import re
import signal
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.space.conftest import SHOTS, Space, environment, python, wait_until

VOTES = "kira/votes"


@pytest.fixture(scope="module")
def space(hub, published, tmp_path_factory):
    root = tmp_path_factory.mktemp("compare")
    (root / "tmp").mkdir()
    running = Space(environment(hub, published.home, KIRA_VOTES_REPO=VOTES, TMPDIR=str(root / "tmp")), root / "log")
    wait_until(running.answers, "the page")
    yield running
    if running.process.poll() is None:
        running.stop()


def open_compare(visit, **options):
    seen = visit(**options)
    expect(seen.page.get_by_text("fine-tuned from")).to_be_visible()
    seen.tab("Compare")
    return seen, seen.page


def compare(seen, question=""):
    """Asks what is given, or what stands in the box, and returns when every model has answered."""
    box = seen.page.get_by_label("Question for every model")
    if question:
        box.fill(question)
    asked = json.dumps(box.input_value(), ensure_ascii=False)
    seen.page.get_by_role("button", name="Compare", exact=True).click()
    expect(seen.page.locator("[data-comparison]")).to_have_attribute("data-comparison", re.compile(re.escape(asked)))
    expect(seen.page.get_by_role("button", name="Copy link")).to_be_visible()


def saved(page, button):
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return download.value.path().read_bytes()


def pane(page, title):
    return page.get_by_role("heading", name=title, level=2, exact=True).locator("visible=true").locator("xpath=..")


@pytest.mark.parametrize("width, dark", [(390, False), (1280, True)])
def test_a_test_question_has_a_reference_scores_and_marked_differences(visit, width, dark):
    seen, page = open_compare(visit, width=width, dark=dark)
    page.get_by_role("button", name="A test question").click()
    box = page.get_by_label("Question for every model")
    expect(box).to_have_value(re.compile(r"What is \w+, case \d+\?"))
    compare(seen)
    said = pane(page, "Base model").inner_text()
    expect(page.locator("ins, del")).to_have_count(0)
    page.get_by_label("Mark the words that differ").check()
    expect(pane(page, "Fine-tuned").locator("ins").first).to_be_visible()
    expect(pane(page, "Base model").locator("del").first).to_be_visible()
    assert pane(page, "Base model").inner_text() == said
    record = json.loads(saved(page, "Save JSON"))
    base, tuned = record["answers"]
    number = re.search(r"case (\d+)", box.input_value())[1]
    assert record["reference"].endswith(f"is a finding ({number}).")
    expect(page.get_by_text(record["reference"]).locator("visible=true")).to_be_visible()
    scores = page.get_by_role("region", name="Scores of these answers")
    expect(scores.get_by_role("row", name="ROUGE-L")).to_contain_text(f"{tuned['rougeL']:.3f}")
    assert base["model"].startswith("kira/tiny@") and tuned["model"].startswith("kira/tiny-lora@")
    seen.shot("compare-marked")


def test_a_link_reopens_the_comparison_and_sends_its_question_nowhere(visit, space):
    seen, page = open_compare(visit)
    page.evaluate("navigator.clipboard.writeText = async link => { window.copied = link }")
    page.get_by_role("button", name="Answer settings").locator("visible=true").click()
    for name, value in (("Temperature", "0.7"), ("Longest answer", "24")):
        slider = page.get_by_label(f"number input for {name}").locator("visible=true")

        def holds(slider=slider, value=value):  # an accordion that is just opening gives its sliders their first value
            slider.fill(value)
            slider.blur()
            page.wait_for_timeout(300)
            return slider.input_value() == value

        wait_until(holds, name)
    page.get_by_label("Seed").locator("visible=true").fill("77")
    question = "What's 5 % & <b>\"fever\"</b>?\nWhy?"
    compare(seen, question)
    first = json.loads(saved(page, "Save JSON"))
    assert (first["question"], first["seed"], first["temperature"]) == (question, 77, 0.7)
    picture = saved(page, "Save PNG")
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
    SHOTS.mkdir(parents=True, exist_ok=True)
    (SHOTS / "compare-saved.png").write_bytes(picture)
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_text("Link copied.")).to_be_visible()
    link = page.evaluate("window.copied")
    assert not urlsplit(link).query and parse_qs(urlsplit(link).fragment)["compare"] == [question]
    seen.check()

    asked = []
    again = visit(url="about:blank")
    again.page.on("request", lambda request: asked.append(f"{request.url} {request.post_data}"))
    again.page.goto(link)
    expect(again.page.get_by_label("Question for every model")).to_have_value(question)
    expect(again.page.get_by_label("Seed").locator("visible=true")).to_have_count(0)  # the accordion is closed
    assert asked and not any("fever" in each for each in asked)
    compare(again)
    second = json.loads(saved(again.page, "Save JSON"))
    assert second == first


def test_a_link_with_values_out_of_range_is_brought_within_it(visit, space):
    seen = visit(url=f"{space.url}#compare=Hello&tokens=99999999&temperature=-3&top_p=x&seed=1e400")
    page = seen.page
    expect(page.get_by_label("Question for every model")).to_have_value("Hello")
    page.get_by_role("button", name="Answer settings").locator("visible=true").click()
    for name, value in (("Longest answer", "8000"), ("Temperature", "0"), ("Top-p", "1")):
        slider = page.get_by_label(f"number input for {name}").locator("visible=true")
        expect(slider).to_have_value(value)
    expect(page.get_by_label("Seed").locator("visible=true")).to_have_value("0")
    assert not seen.complaints


def test_a_vote_may_come_while_the_answers_stream(visit, patient_space):
    seen = visit(url=f"{patient_space.url}#compare=What is a fever?&tokens=8000")
    page = seen.page
    expect(page.get_by_label("Question for every model")).to_have_value("What is a fever?")
    page.get_by_label("Blind").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("button", name="Both good").click()  # waits until it can be clicked
    expect(page.get_by_role("heading", name=re.compile("^Answer [AB]: Base model$"))).to_be_visible()
    expect(page.get_by_text("both good 1, both bad 0")).to_be_visible()
    expect(page.get_by_text("Answering …").locator("visible=true")).to_be_visible()
    streamed = """() => [...document.querySelectorAll(".kira-pane")]
        .filter(pane => pane.innerText.startsWith("Answer A: ")).map(pane => pane.innerText.length)[0] || 0"""
    before = page.evaluate(streamed)
    page.wait_for_function(f"({streamed})() > {before}")  # under its name
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("Stopped.").locator("visible=true")).to_be_visible()
    expect(page.get_by_role("button", name="Both good")).to_be_disabled()
    assert not seen.complaints


def vote(seen, question, choice, consent):
    page = seen.page
    compare(seen, question)
    for title, shown in (("Answer A", 1), ("Answer B", 1), ("Base model", 0), ("Fine-tuned", 0)):
        expect(pane(page, title)).to_have_count(shown)
    scores = page.get_by_role("region", name="Scores of these answers")
    expect(scores).to_have_count(0)
    told = json.loads(saved(page, "Save JSON"))
    assert {each["model"] for each in told["answers"]} == {None} and told["vote"] is None
    page.get_by_label("Keep the question and the answers").set_checked(consent)
    page.get_by_role("button", name=choice).click()
    expect(page.get_by_role("button", name=choice)).to_be_disabled()
    expect(page.get_by_role("heading", name=re.compile("^Answer [AB]: Base model$"))).to_be_visible()
    expect(scores).to_have_count(1 if told["reference"] else 0)
    record = json.loads(saved(page, "Save JSON"))
    assert [each["answer"] for each in record["answers"]] == [each["answer"] for each in told["answers"]]
    return record


def test_blind_votes_are_counted_and_kept_without_text_unless_the_voter_agrees(visit, space, hub, tmp_path):
    """The last of this Space: it is told to end, and commits what it has."""
    seen, page = open_compare(visit, width=390)
    page.get_by_label("Blind").check()
    records = []
    for question, choice, consent in (("What is fever, case 0?", "A is better", False),
                                      ("What is a canary?", "B is better", True),
                                      ("Why is a canary?", "Both bad", False)):
        records.append(vote(seen, question, choice, consent))
        expect(page.get_by_text(f"Your blind votes of this visit: {len(records)}")).to_be_visible()
    assert records[0]["reference"] and "rougeL" in records[0]["answers"][0]
    expect(page.get_by_text("of 2 decided")).to_be_visible()
    seen.shot("compare-voted")

    space.process.send_signal(signal.SIGTERM)
    space.process.wait(60)
    code = "import sys; from huggingface_hub import snapshot_download as s; print(s(sys.argv[1], repo_type='dataset'))"
    done = python("-c", code, VOTES, env=environment(hub, tmp_path))
    files = list((tmp_path / done.stdout.strip()).rglob("*.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    rows = rows[-3:]  # another test of this Space votes too
    for row, record in zip(rows, records, strict=True):
        assert row["vote"] == record["vote"]
        assert [row["models"][name] for name in row["order"]] == [each["model"] for each in record["answers"]]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:00Z", row["hour"])
    assert [set(row) - {"models", "vote", "order", "hour"} for row in rows] == [
        set(), {"question", "answers"}, set()]
    assert rows[1]["question"] == "What is a canary?"
    assert [rows[1]["answers"][name] for name in rows[1]["order"]] == [each["answer"] for each in
                                                                       records[1]["answers"]]
    assert "canary" not in space.log()
