"""From an uploaded file to a published adapter, in Chromium, as a person does it.

Screenshots land in .kira/screenshots, to be looked at.
"""

import csv
import io
import json
import re
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import expect

from tests.pipeline.conftest import rows
from tests.space.conftest import Visit

CANARY = "canary-5d20e"
NASTY = "<img src='http://outside.example/a.png'> <b>bold</b>"
QUICK = {"Epochs": 1, "Rows at most": 100, "Learning rate": 0.01}
QUICK_MORE = {"Training rows": 40, "Test rows": 8, "LoRA rank": 4, "Steps between validations": 3,
              "Validation rows answered while training": 4, "Tokens of a generated answer at most": 8}


def a_file() -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["n", "term", "meaning"])
    for n, row in enumerate(rows(110)):
        answer = f"{row['answer']} {CANARY} {NASTY}" if n == 0 else row["answer"]
        writer.writerow([n, row["question"], answer])
    return text.getvalue().encode()


@pytest.fixture
def open_page(browser, trainer):
    seen = []

    def open_one(**options):
        seen.append(Visit(browser, trainer.url, **options))
        return seen[-1]

    yield open_one
    for each in seen:
        each.page.close()


def choose(page, label, value):
    box = page.get_by_label(label)
    box.click()
    page.get_by_role("option", name=value, exact=True).click()


def fill(page, tiny_base, epochs=1):
    page.get_by_label("Hub id of the chat model").fill(tiny_base)
    page.get_by_label("File upload").set_input_files({"name": "rows.csv", "mimeType": "text/csv", "buffer": a_file()})
    expect(page.get_by_role("region", name="Preview of the rows")).to_contain_text("<b>bold</b>")
    expect(page.get_by_label("Column with the questions")).to_have_value("term")
    choose(page, "Column with the answers", "meaning")
    page.get_by_label("Licence of the rows").fill("cc0-1.0")
    page.get_by_label("Name of your model").fill("my-first")
    page.get_by_role("button", name="More of the recipe").click()
    for label, value in (QUICK | QUICK_MORE | {"Epochs": epochs}).items():
        page.get_by_label(re.compile(rf"^\s*{label}")).fill(str(value))


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def refused(page, sentence):
    """The sentence is shown, and put away: axe finds fault with Gradio's toasts."""
    expect(page.get_by_text(sentence)).to_be_visible()
    page.get_by_test_id("toast-close").click()
    expect(page.get_by_text(sentence)).to_be_hidden()


def status(page):
    return page.locator("p[role=status]")


@pytest.mark.slow
def test_from_a_csv_to_a_published_adapter(open_page, hub, trainer, tiny_base):
    seen = open_page()
    page = seen.page
    expect(page.get_by_text("as kira")).to_be_visible()
    press(page, "Train")
    refused(page, "Please say under which licence")
    fill(page, tiny_base)
    seen.shot("trainer-form")
    press(page, "Estimate")
    expect(status(page)).to_contain_text("The estimate is made", timeout=280_000)
    expect(page.get_by_text("Estimate for this machine")).to_contain_text("steps: about")

    press(page, "Train")
    expect(page.get_by_role("img", name="Loss over training steps")).to_be_visible(timeout=280_000)
    seen.shot("trainer-training")
    again = open_page(width=390, dark=True)  # the run is found again, and only one goes on
    expect(again.page.get_by_role("button", name="Cancel", exact=True)).to_be_visible()
    expect(status(page)).to_contain_text("Nothing is published yet", timeout=280_000)
    expect(page.get_by_role("region", name="Comparison of base and fine-tuned")).to_contain_text("ROUGE-L")
    expect(page.get_by_role("img", name="ROUGE-L on 4 validation rows")).to_be_visible()
    seen.shot("trainer-measured")
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{hub.endpoint}/api/models/kira/my-first-lora")

    press(page, "Publish to my account")
    refused(page, "Please confirm first")
    page.get_by_label("I may publish these rows").check()
    press(page, "Publish to my account")
    expect(status(page)).to_contain_text("Published", timeout=280_000)
    link = page.get_by_role("link", name="my-first-lora").get_attribute("href")
    assert link == f"{hub.endpoint}/kira/my-first-lora/tree/v1"
    files = {f["rfilename"] for f in json.load(urllib.request.urlopen(
        f"{hub.endpoint}/api/models/kira/my-first-lora"))["siblings"]}
    assert {"adapter_model.safetensors", "metrics.json", "README.md"} <= files
    seen.shot("trainer-published")
    again.page.reload()
    expect(status(again.page)).to_contain_text("Published")
    again.shot("trainer-published")

    assert CANARY not in trainer.log_path.read_text()
    left = [p for p in trainer.folder.rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()]
    assert not left
    press(page, "Discard")
    expect(status(page)).to_contain_text("Nothing is running")
    assert not list(trainer.folder.glob("kira-training-*/run-*"))
