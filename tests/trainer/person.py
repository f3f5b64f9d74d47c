"""What a person does on the training page."""

import csv
import io
import re

from playwright.sync_api import expect

from tests.pipeline.conftest import rows

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


def choose(page, label, value):
    page.get_by_label(label).click()
    page.get_by_role("option", name=value, exact=True).last.click()
    expect(page.get_by_label(label)).to_have_value(value)
    expect(page.get_by_role("option")).to_have_count(0)  # the list has closed


def fill(page, tiny_base, **quick):
    """Everything up to the recipe, by an upload; `quick` has other values for the recipe's boxes."""
    upload(page)
    describe(page, tiny_base, **quick)


def upload(page):
    page.get_by_label("File upload").set_input_files({"name": "rows.csv", "mimeType": "text/csv", "buffer": a_file()})
    expect(page.get_by_role("region", name="Preview of the rows")).to_contain_text("<b>bold</b>")
    expect(page.get_by_label("Column with the questions")).to_have_value("term")
    choose(page, "Column with the answers", "meaning")


def describe(page, base, **quick):
    page.get_by_label("Hub id of the chat model").fill(base)
    page.get_by_label("Licence of the rows").fill("cc0-1.0")
    page.get_by_label("Name of your model").fill("my-first")
    page.get_by_role("button", name="More of the recipe").click()
    for label, value in (QUICK | QUICK_MORE | quick).items():
        page.get_by_label(re.compile(rf"^\s*{label}")).fill(str(value))


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def refused(page, sentence):
    """The sentence is shown, and put away: axe finds fault with Gradio's toasts."""
    toast = page.get_by_test_id("toast-text").filter(has_text=sentence)
    expect(toast).to_be_visible()
    page.get_by_test_id("toast-close").click()
    expect(toast).to_be_hidden()


def status(page):
    return page.locator("p[role=status]")
