"""A Hub dataset's columns, and a run that is cancelled and resumed, by clicks in Chromium."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.pipeline.conftest import rows
from tests.trainer.person import choose, describe, fill, press, refused, status


@pytest.fixture(scope="module")
def terms(hub, tmp_path_factory):
    """Id of a Hub dataset whose columns have names of their own."""
    import pyarrow
    import pyarrow.parquet

    folder = tmp_path_factory.mktemp("terms")
    (folder / "data").mkdir()
    table = pyarrow.Table.from_pylist([{"n": n, "headword": row["question"], "type": n, "sense": row["answer"]}
                                       for n, row in enumerate(rows(110))])
    pyarrow.parquet.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
    hub.python("-c", "import sys; from pathlib import Path; from train_space.publish import push_folder; "
               "push_folder(Path(sys.argv[1]), 'kira/terms', 'dataset', 'rows')", folder)
    return "kira/terms"


def output_of(trainer) -> str:
    return "".join(path.read_text() for path in trainer.folder.glob("kira-training-*/run-*/output.txt"))


def test_columns_of_a_hub_dataset_are_chosen_and_a_run_is_cancelled_and_resumed(open_page, trainer, tiny_base, terms):
    seen = open_page(width=390)
    page = seen.page
    page.get_by_label("Name a Hub dataset").check()
    page.get_by_placeholder("OWNER/NAME").fill(terms)
    press(page, "Look at it")
    expect(page.get_by_role("region", name="Preview of the rows")).to_contain_text("What is heart finding 0?")
    describe(page, tiny_base)
    choose(page, "Column with the questions", "headword")
    choose(page, "Column with the answers", "headword")
    press(page, "Train")
    refused(page, "two different columns")
    choose(page, "Column with the answers", "sense")
    page.get_by_label("Licence of the rows").fill("mine alone")
    press(page, "Train")
    refused(page, "The Hub does not know the licence mine alone")
    page.get_by_label("Licence of the rows").fill("cc0-1.0")
    seen.shot("trainer-columns")
    press(page, "Train")
    press(page, "Cancel")
    expect(status(page)).to_contain_text("Cancelled")
    press(page, "Resume")
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_visible()
    recipe = next(trainer.folder.glob("kira-training-*/run-*/recipe.yaml")).read_text()
    assert "question_column: headword\nanswer_column: sense\n" in recipe
    press(page, "Cancel")
    expect(status(page)).to_contain_text("Cancelled")
    press(page, "Discard")
    expect(status(page)).to_contain_text("Nothing is running")


@pytest.mark.slow
def test_a_resumed_run_goes_on_from_its_checkpoint(open_page, trainer, tiny_base):
    seen = open_page()
    page = seen.page
    fill(page, tiny_base, **{"Epochs": 10})
    press(page, "Train")
    steps = page.get_by_role("img", name="Loss over training steps")
    expect(steps).to_be_visible(timeout=280_000)
    wait_for_checkpoint(trainer, page)
    press(page, "Cancel")
    expect(status(page)).to_contain_text("Cancelled")
    seen.shot("trainer-cancelled")
    press(page, "Resume")
    expect(page.get_by_text(re.compile(r"Resumed from step [1-9]"))).to_be_visible(timeout=280_000)
    assert "prepare    unchanged, skipped" in output_of(trainer)
    expect(status(page)).to_contain_text("Nothing is published yet", timeout=280_000)
    seen.shot("trainer-resumed")
    press(page, "Discard")
    expect(status(page)).to_contain_text("Nothing is running")


def wait_for_checkpoint(trainer, page) -> None:
    """Until a whole one is there."""
    def whole() -> list[Path]:
        return list(trainer.folder.glob("kira-training-*/run-*/work/*/train/checkpoint-*/complete.json"))

    while not whole():
        page.wait_for_timeout(100)
