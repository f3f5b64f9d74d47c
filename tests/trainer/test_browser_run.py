"""From a CSV file in the training Space to answers in the public Space, in Chromium, with the real small base.

Both Spaces are copies of what `deploy` sent. With KIRA_BROWSER_RUN=FILE the steps and their times are kept there
(`make browser-run`).
"""

import csv
import io
import os
import random
import re
import shlex
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.pipeline.conftest import local_hub
from tests.space.conftest import Visit, wait_until
from tests.space.staged import Copy
from tests.trainer.person import choose, press, status

ROWS, LONGEST_WORDS, PATIENCE_MS = 260, 40, 1_500_000
RECIPE = {"Rows at most": ROWS, "Training rows": 96, "Test rows": 24, "Steps between validations": 4,
          "Validation rows answered while training": 4}


def a_file() -> tuple[bytes, str]:
    """(a CSV of real definitions, a question in it)."""
    from train_space import hpo

    found = [row for row in hpo.rows() if len(row["answer"].split()) <= LONGEST_WORDS]
    drawn = random.Random(0).sample(found, ROWS)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["number", "asked", "explained"])
    writer.writerows([n, row["question"], row["answer"]] for n, row in enumerate(drawn))
    return text.getvalue().encode(), drawn[0]["question"]


class Steps:
    """What was done, how long it took, and what was seen."""

    def __init__(self):
        self.done = []

    @contextmanager
    def __call__(self, what):
        start, step = time.perf_counter(), {"step": what, "seconds": 0.0, "seen": ""}
        yield step
        step["seconds"] = round(time.perf_counter() - start, 1)
        self.done.append(step)


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    """A Hub with the released adapter and both Spaces on it; starts copies of these."""
    folder, started = tmp_path_factory.mktemp("whole"), []
    with local_hub(folder / "root") as hub:
        hub.kira("release", "--work", folder / "runs")
        hub.kira("deploy", "kira/space", "--recipe", "release", "--work", folder / "runs")

        def start(repo, **more):
            place = folder / repo.split("/")[1]
            place.mkdir()
            started.append(Copy(hub.endpoint, repo, place, folder / "hf-home", **more))
            wait_until(started[-1].answers, repo, 280)
            return started[-1]

        yield start
        for each in started:
            each.stop()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_from_a_csv_to_an_answer_in_the_public_space(spaces, browser):
    steps, (content, question) = Steps(), a_file()
    with steps("the training Space starts"):
        # On this machine the token of its owner stands in for the sign-in.
        training = spaces("kira/space-training", HF_TOKEN="local-write", SPACE_ID="", SYSTEM="")
    seen = Visit(browser, training.url)
    page = seen.page
    page.emulate_media(reduced_motion="reduce")  # else axe may meet a button halfway between two colours
    with steps("upload a CSV, look at its preview, choose its columns") as step:
        page.get_by_label("File upload").set_input_files(
            {"name": "definitions.csv", "mimeType": "text/csv", "buffer": content})
        expect(page.get_by_role("region", name="Preview of the rows")).to_contain_text(question)
        choose(page, "Column with the questions", "asked")
        choose(page, "Column with the answers", "explained")
        step["seen"] = f"{ROWS} rows with columns number, asked, explained"
    with steps("say licence, name and recipe") as step:
        step["seen"] = page.get_by_label("Hub id of the chat model").input_value()
        page.get_by_label("Licence of the rows").fill("other")
        page.get_by_label("Name of your model").fill("from-a-csv")
        page.get_by_role("button", name="More of the recipe").click()
        for label, value in RECIPE.items():
            page.get_by_label(re.compile(rf"^\s*{label}")).fill(str(value))
    with steps("estimate") as step:
        press(page, "Estimate")
        expect(status(page)).to_contain_text("The estimate is made", timeout=PATIENCE_MS)
        step["seen"] = page.get_by_text("Estimate for this machine").inner_text()
    with steps("train, until the first loss is drawn"):
        press(page, "Train")
        expect(page.get_by_role("img", name="Loss over training steps")).to_be_visible(timeout=PATIENCE_MS)
        seen.shot("whole-training")
    with steps("train to the end, and compare with the base") as step:
        expect(status(page)).to_contain_text("Nothing is published yet", timeout=PATIENCE_MS)
        compared = page.get_by_role("region", name="Comparison of base and fine-tuned")
        step["seen"] = compared.get_by_role("row").filter(has_text="ROUGE-L").first.inner_text().replace("\t", " ")
        seen.shot("whole-compared")
    with steps("publish") as step:
        page.get_by_label("I may publish these rows").check()
        press(page, "Publish to my account")
        expect(status(page)).to_contain_text("Published", timeout=PATIENCE_MS)
        variables = dict(line.split("=", 1) for line in shlex.split(page.locator("pre.kira-plain").inner_text()))
        step["seen"] = f"{variables['KIRA_ADAPTER_REPO']} at {variables['KIRA_ADAPTER_REVISION'][:12]}"
        seen.shot("whole-published")
    page.close()
    training.stop()
    with steps("the public Space starts with it"):
        main = spaces("kira/space", **variables)
        visitor = Visit(browser, main.url)
        expect(visitor.page.locator(".speaks")).to_contain_text("kira/from-a-csv-lora at ", timeout=PATIENCE_MS)
    with steps("ask it") as step:
        visitor.ask(question)
        visitor.finished()
        answer = visitor.page.get_by_test_id("bot").last.inner_text().strip()
        step["seen"] = f"{question} {answer}"
        visitor.shot("whole-answer")
    assert len(answer.split()) > 3
    keep(steps)


def keep(steps: Steps) -> None:
    from train_space import stages
    from train_space.files import write_json

    print(*(f"{step['seconds']:8.1f} s  {step['step']}: {step['seen']}" for step in steps.done), sep="\n")
    if path := os.environ.get("KIRA_BROWSER_RUN"):
        write_json(Path(path), {
            "command": "make browser-run", "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "code_commit": stages.code_commit(), "machine": stages.hardware(), "versions": stages.versions(),
            "steps": steps.done, "seconds": round(sum(step["seconds"] for step in steps.done), 1)})
