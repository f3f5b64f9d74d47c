"""From an uploaded file to a published adapter, in Chromium, as a person does it.

Screenshots land in .kira/screenshots, to be looked at.
"""

import json
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import expect

from tests.trainer.person import CANARY, fill, press, refused, status


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
