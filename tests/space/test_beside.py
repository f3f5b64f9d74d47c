"""Further adapters beside the first: which answer in Compare, a choice in Results, all told to programs."""

import json

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import expect

from kira.engine import Engine
from kira.figures import comparison_rows
from kira.prompt import build_messages
from tests.space.conftest import SECOND, Space, environment, wait_until


@pytest.fixture(scope="module")
def space(hub, published, tmp_path_factory):
    log = tmp_path_factory.mktemp("beside") / "log"
    # An earlier state of a repository is a published run like any other.
    runs = f"{SECOND} kira/tiny-lora@{published.shas['no-results']}"
    running = Space(environment(hub, published.home, KIRA_BESIDE_REPOS=runs), log)
    wait_until(running.answers, "the page")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(space):
    return Client(space.url, verbose=False)


def test_compare_gives_the_second_adapter_s_answer_too(client, published):
    steps = list(client.submit("What is a fever?", max_new_tokens=60, beside=SECOND, api_name="/compare"))
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
    two = client.predict("What is a fever?", max_new_tokens=60, api_name="/compare")
    assert (two["base"], two["tuned"]) == (end["base"], end["tuned"]) and "beside" not in two
    named = f"kira/tiny-lora@{published.shas['no-results']}"
    assert client.predict("heart", max_new_tokens=4, beside=named, api_name="/compare")["beside_model"] == named


@pytest.mark.parametrize("name", ["kira/tiny", "nobody/nothing", "x" * 5000])
def test_a_model_that_is_not_served_is_refused_in_a_sentence(client, name):
    with pytest.raises(AppError, match=r"is not among the models served here; the Results tab names them\.$") as told:
        client.predict("What is a fever?", beside=name, api_name="/compare")
    assert len(str(told.value)) < 300


def test_results_hold_both_evaluations(client, published):
    found = client.predict(api_name="/results")
    (beside,) = found.pop("beside")  # the third one's repository state has no figures
    for got, folder, repo, sha in ((found, published.adapter, "kira/tiny-lora", "main"),
                                   (beside, published.folder / "beside", SECOND, "beside")):
        metrics = json.loads((folder / "metrics.json").read_text())
        assert got == {**metrics, "repo": repo, "revision": published.shas[sha], "rows": comparison_rows(metrics)}


@pytest.mark.parametrize("width, dark", [
    (390, False), pytest.param(1280, False, marks=pytest.mark.slow), pytest.param(390, True, marks=pytest.mark.slow)])
def test_the_page_shows_both(visit, published, width, dark):
    seen = visit(width=width, dark=dark)
    page = seen.page
    for repo, sha in (("kira/tiny-lora", "main"), (SECOND, "beside"), ("kira/tiny", "base")):
        expect(page.get_by_role("link", name=f"{repo} at {published.shas[sha][:7]}")).to_be_visible()
    seen.tab("Compare")
    second, third = SECOND.split("/")[1], f"tiny-lora@{published.shas['no-results'][:7]}"

    def compared(*titles):
        page.get_by_role("button", name="Compare", exact=True).click()
        expect(page.get_by_role("heading", level=2).locator("visible=true")).to_have_text(["Base model", *titles])
        seen.finished()
        said = {}
        for title in ("Base model", *titles):
            pane = page.get_by_role("heading", name=title, level=2, exact=True).locator("visible=true")
            said[title] = pane.locator("xpath=..").inner_text().removeprefix(title)
        assert len(set(said.values())) == len(said) and min(map(len, said.values())) > 5
        return said

    page.get_by_label("Question for every model").fill("What is asthma?")
    plain = compared("Fine-tuned")
    page.get_by_label(second).check()
    both = compared("Fine-tuned", second)
    seen.shot("beside-compare")
    page.get_by_label("Fine-tuned", exact=True).uncheck()
    assert plain["Fine-tuned"] == both["Fine-tuned"] and compared(second)[second] == both[second]

    seen.tab("Results")
    table = page.get_by_role("region", name="Comparison of base and fine-tuned").get_by_role("table")
    expect(table.get_by_role("row", name="ROUGE-L")).to_contain_text("+0.120 to +0.200")
    page.get_by_label("Filter by words").fill("asthma")
    expect(page.get_by_text("Question (4 of 24)")).to_be_visible()
    page.get_by_label("Question (4 of 24)").click()
    page.get_by_role("option", name="What is asthma, case 7?").click()
    tuned = page.get_by_role("heading", name="Fine-tuned", level=3).locator("visible=true").locator("xpath=..")
    expect(tuned).to_contain_text("Asthma is a finding (7).")
    first, second, _ = page.get_by_role("radio").all()
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

    seen.tab("Compare")
    page.get_by_label(third).check()
    page.get_by_label("Fine-tuned", exact=True).check()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("Please choose from one to 2 fine-tuned models")).to_be_visible()


@pytest.mark.slow
def test_a_damaged_second_adapter_leaves_two_panes_and_a_notice(visit, hub, published, tmp_path):
    env = environment(hub, published.home, KIRA_BESIDE_REPOS=f"kira/tiny-lora@{published.shas['bit-flip']}")
    alone = Space(env, tmp_path / "log")
    wait_until(alone.answers, "the page")
    try:
        seen = visit(url=alone.url, width=390)
        expect(seen.page.get_by_role("status").get_by_text("Not shown beside the first adapter")).to_be_visible()
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
