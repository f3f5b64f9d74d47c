"""A second adapter beside the first: three panes in Compare, a choice in Results, both told to programs."""

import json

import pytest
from gradio_client import Client
from playwright.sync_api import expect

from kira.engine import Engine
from kira.figures import comparison_rows
from kira.prompt import build_messages
from tests.space.conftest import SECOND, Space, environment, wait_until


@pytest.fixture(scope="module")
def space(hub, published, tmp_path_factory):
    log = tmp_path_factory.mktemp("beside") / "log"
    running = Space(environment(hub, published.home, KIRA_BESIDE_REPO=SECOND), log)
    wait_until(running.answers, "the page")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(space):
    return Client(space.url, verbose=False)


def test_compare_gives_the_second_adapter_s_answer_too(client, published):
    steps = list(client.submit("What is a fever?", max_new_tokens=60, api_name="/compare"))
    assert len(steps) > 1
    end = steps[-1]
    assert end["beside_model"] == f"{SECOND}@{published.shas['beside']}"
    assert end["base_model"] == f"kira/tiny@{published.shas['base']}"
    assert end["tuned_model"] == f"kira/tiny-lora@{published.shas['main']}"
    assert len({end["base"], end["tuned"], end["beside"]}) == 3
    alone = Engine(published.base, [published.folder / "beside"], "cpu", 1024, 8000)
    *_, last = alone.stream(build_messages("What is a fever?"), max_new_tokens=60, temperature=0.0, top_p=1.0, seed=0,
                            deadline_s=600.0)
    assert end["beside"] == last.texts[0]
    assert end["tuned"] == client.predict("What is a fever?", max_new_tokens=60, api_name="/ask")["answer"]


def test_results_hold_both_evaluations(client, published):
    found = client.predict(api_name="/results")
    beside = found.pop("beside")
    for got, folder, repo, sha in ((found, published.adapter, "kira/tiny-lora", "main"),
                                   (beside, published.folder / "beside", SECOND, "beside")):
        metrics = json.loads((folder / "metrics.json").read_text())
        assert got == {**metrics, "repo": repo, "revision": published.shas[sha], "rows": comparison_rows(metrics)}


@pytest.mark.parametrize("width, dark", [(390, False), (1280, False), (390, True)])
def test_the_page_shows_both(visit, published, width, dark):
    seen = visit(width=width, dark=dark)
    page = seen.page
    for repo, sha in (("kira/tiny-lora", "main"), (SECOND, "beside"), ("kira/tiny", "base")):
        expect(page.get_by_role("link", name=f"{repo} at {published.shas[sha][:7]}")).to_be_visible()
    seen.tab("Compare")
    page.get_by_label("Question for every model").fill("What is asthma?")
    page.get_by_role("button", name="Compare", exact=True).click()
    seen.finished()
    said = set()
    for title in ("Base model", "Fine-tuned", SECOND.split("/")[1]):
        pane = page.get_by_role("heading", name=title, level=2, exact=True).locator("visible=true").locator("xpath=..")
        said.add(pane.inner_text().removeprefix(title))
    assert len(said) == 3 and min(map(len, said)) > 5
    seen.shot("beside-compare")

    seen.tab("Results")
    table = page.get_by_role("region", name="Comparison of base and fine-tuned").get_by_role("table")
    expect(table.get_by_role("row", name="ROUGE-L")).to_contain_text("+0.120 to +0.200")
    page.get_by_label("Filter by words").fill("asthma")
    expect(page.get_by_text("Question (4 of 24)")).to_be_visible()
    page.get_by_label("Question (4 of 24)").click()
    page.get_by_role("option", name="What is asthma, case 7?").click()
    tuned = page.get_by_role("heading", name="Fine-tuned", level=3).locator("visible=true").locator("xpath=..")
    expect(tuned).to_contain_text("Asthma is a finding (7).")
    first, second = page.get_by_role("radio").all()
    first.focus()
    page.keyboard.press("Tab")  # Gradio's radios are a group each, so no arrow leads from one to the next
    page.keyboard.press("Space")
    expect(second).to_be_checked()
    expect(table.get_by_role("row", name="ROUGE-L")).to_contain_text("+0.030 to +0.110")
    expect(page.get_by_text("Question (2 of 12)")).to_be_visible()
    expect(tuned).to_contain_text("As another puts it: Asthma is a finding (7).")
    seen.shot("beside-results")
    first.check()
    expect(page.get_by_text("Question (4 of 24)")).to_be_visible()
    expect(tuned).not_to_contain_text("As another puts it")
    seen.check()


@pytest.mark.slow
def test_a_damaged_second_adapter_leaves_two_panes_and_a_notice(visit, hub, published, tmp_path):
    env = environment(hub, published.home, KIRA_BESIDE_REPO="kira/tiny-lora",
                      KIRA_BESIDE_REVISION=published.shas["bit-flip"])
    alone = Space(env, tmp_path / "log")
    wait_until(alone.answers, "the page")
    try:
        seen = visit(url=alone.url, width=390)
        expect(seen.page.get_by_role("status").get_by_text("is not shown beside the first one")).to_be_visible()
        expect(seen.page.get_by_text("fine-tuned from")).to_be_visible()
        seen.tab("Compare")
        expect(seen.page.get_by_role("heading", level=2).locator("visible=true")).to_have_text(
            ["Base model", "Fine-tuned"])
        seen.tab("Results")
        expect(seen.page.get_by_role("row", name="ROUGE-L").first).to_be_visible()
        expect(seen.page.get_by_role("radio").locator("visible=true")).to_have_count(0)
        seen.check()
        end = Client(alone.url, verbose=False).predict("What is a fever?", max_new_tokens=8, api_name="/compare")
        assert end["tuned"] and not {"beside", "beside_model"} & set(end)
    finally:
        alone.stop()
