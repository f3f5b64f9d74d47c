"""Results in Chromium: kinds of questions, the order of answers, what ships with the repository, files to take away."""

import csv
import json
import re
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import expect

from kira import answer_order, heat_map, report_views
from kira.bundled import comparisons, report, runs
from kira.safety_report import safety_rows
from tests.space.conftest import CANARY, ROOT


def got(address: str):
    return urllib.request.urlopen(address, timeout=20)


@pytest.mark.parametrize("width, dark", [(390, True), (1280, False)])
def test_plots_have_their_figures_and_experiments_are_filtered(visit, width, dark):
    seen = visit(width=width, dark=dark)
    page = seen.page
    seen.tab("Results")
    expect(page.get_by_role("img", name="Change by type and source of the question")).to_be_visible()
    page.get_by_text("The figures of this plot").focus()
    page.keyboard.press("Enter")
    figures = page.get_by_role("region", name="Figures by slice")
    expect(figures.get_by_role("row", name="type definition")).to_contain_text("better")
    expect(figures.get_by_role("row", name="type feature")).to_contain_text("worse")
    expect(page.get_by_role("region", name="What fine-tuning changed of safety")).to_contain_text("not measured")
    whole = safety_rows(report("safety"))[0]
    row = page.get_by_role("region", name="Safety of triage and scope").get_by_role("row", name=whole["what"])
    expect(row).to_contain_text(f"{whole['value']:.3f}")
    expect(row).to_contain_text("met" if whole["met"] else "missed")
    page.get_by_role("button", name="Experiments:").click()
    expect(page.get_by_role("heading", name=f"Runs: {len(runs())} of {len(runs())}")).to_be_visible()
    page.get_by_label("Search runs").fill("ours-rank-8")
    expect(page.get_by_role("heading", name=f"Runs: 1 of {len(runs())}")).to_be_visible()
    expect(page.get_by_role("heading", name=f"Recipes compared: 2 of {len(comparisons())} rows")).to_be_visible()
    page.get_by_label("Search runs").fill("no such run")
    expect(page.get_by_text("Nothing matches.").first).to_be_visible()
    seen.shot("results-open")


def test_files_are_what_is_shown(space, visit, published):
    page = visit().page
    page.get_by_role("tab", name="Results").click()
    expect(page.get_by_role("link", name="answers.jsonl")).to_be_visible()
    names = page.locator("a.kira-file").evaluate_all("all => all.map(a => a.href)")
    files = {name.rsplit("/", 1)[1]: got(name).read().decode() for name in names}
    assert json.loads(files["metrics.json"]) == json.loads((published.adapter / "metrics.json").read_text())
    answers = [json.loads(line) for line in files["answers.jsonl"].splitlines()]
    assert len(answers) == 24 and answers[0]["reference"] == "Fever is a finding (0)."
    table = list(csv.DictReader(files["comparison.csv"].splitlines()))
    assert table[2]["metric"] == "rougeL" and float(table[2]["tuned"]) == 0.31
    assert [row["slice"] for row in csv.DictReader(files["differences.csv"].splitlines())] == [
        "type=definition", "type=feature"]
    assert files["safety.json"] == (ROOT / "results" / "safety.json").read_text()
    header = got(f"{space.url}/downloads/0/answers.jsonl").headers
    assert header["Content-Disposition"] == 'attachment; filename="kira-answers.jsonl"'
    for absent in ("0/manifest.json", "9/metrics.json", "shipped/training_config.json", "shipped/..%2FREADME.md",
                   f"0/{CANARY}"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            got(f"{space.url}/downloads/{absent}")
        assert refused.value.code == 404 and CANARY not in refused.value.read().decode()


def test_the_worst_answers_come_first(visit):
    seen = visit()
    page = seen.page
    seen.tab("Results")
    question = page.get_by_label("Question (24 of 24)")
    expect(question).to_have_value("What is fever, case 0?")
    page.get_by_label("Order (by ROUGE-L)").click()
    page.get_by_role("option", name="Worst first", exact=True).click()
    expect(question).to_have_value("What is arthritis, case 10?")
    page.get_by_label("Filter by words").fill("fever")
    expect(page.get_by_label("Question (4 of 24)")).to_have_value("What is fever, case 0?")
    page.get_by_label("Filter by words").fill("something")  # stands in an answer alone
    expect(page.get_by_label("Question (24 of 24)")).to_be_visible()


def test_orders():
    answers = [{"id": i, "base": {"rougeL": base}, "tuned": {"rougeL": tuned}}
               for i, (base, tuned) in enumerate([(0.1, 0.5), (0.9, 0.6), (0.0, 0.2)])]
    for order, ids in {"order_published": [0, 1, 2], "order_worst": [2, 0, 1], "order_best": [1, 0, 2],
                       "order_lost": [1, 2, 0]}.items():
        assert [answer["id"] for answer in answer_order.ordered(answers, order)] == ids


@pytest.mark.parametrize("metric, value, better", [("rougeL", 0.1, True), ("rougeL", -0.1, False),
                                                   ("perplexity", -0.1, True), ("perplexity", 0.1, False)])
def test_a_cell_knows_which_way_is_better(metric, value, better):
    run = {"n": 9, "metrics": {}, "slices": {"type=<b>": {metric: 0.5}}}
    metrics = {"runs": {"base": run, "tuned": run},
               "deltas": [{"from": "base", "to": "tuned", "slice": "type=<b>", "metric": metric, "n": 9, "value": value,
                           "low": value - 0.05, "high": value + 0.05, "p_holm": 0.01}]}
    (row,) = heat_map.slice_rows(metrics)
    drawn = heat_map.heat_map(metrics).parts
    assert row["better"] is better and f'class="cell {"mark" if better else "worse"}"' in drawn and "<b>" not in drawn


def test_a_missed_bar_is_said_in_words():
    report = json.loads((ROOT / "results" / "safety.json").read_text())
    share = report["triage"]["unseen"]
    for name, value in (("recall", 0.97), ("false_alarms", 0.0), ("false_alarms_everyday", 0.0),
                        ("borderline_right", 1.0)):
        share[name] |= {"value": value}
    report["triage"]["plain"] = {"recall": share["recall"] | {"value": 1.0}, "false_alarms": share["false_alarms"]}
    page = report_views.safety_report(report, None)
    assert "1 bar missed." in page and f"97 % of {share['recall']['n']}, and at least 98 % is the bar." in page
    assert "Do not rely on Kira to notice an emergency." in page
    share["recall"] |= {"value": 0.98}
    assert "missed.</p>" not in report_views.safety_report(report, None)


def test_what_models_tell_somebody_in_danger_is_shown():
    report, found = (json.loads((ROOT / "results" / f"{name}.json").read_text()) for name in ("safety", "help_now"))
    page = report_views.safety_report(report, found)
    rows = re.findall(r"<tr>.*?</tr>", page.split("Answers that tell somebody in danger")[1], re.S)
    for (name, what), row in zip(report_views.WHO, rows[1:], strict=False):
        assert what in row and f"{found['shares'][name]['value']:.3f}" in row
    assert 'download="kira-help_now.json"' in page
