"""The one comparison, and what is drawn from it."""

import re
from xml.etree import ElementTree

import pytest

from kira import plots, views
from kira.figures import (
    answer_rows,
    comparison_rows,
    comparison_table,
    delta_points,
    is_significant,
    loss_points,
    matching_answers,
    other_rows,
    probe_points,
)

METRICS = {
    "runs": {"base": {"n": 9, "split": "test", "metrics": {"rougeL": 0.2, "perplexity": 14.0},
                      "slices": {"definition": {"perplexity": 12.0}}},
             "base_two_shot": {"n": 5, "split": "test", "metrics": {"rougeL": 0.25}},
             "tuned": {"n": 9, "split": "test", "metrics": {"perplexity": 7.0, "rougeL": 0.3, "stop_rate": 1.0}}},
    "deltas": [
        {"from": "base", "to": "tuned", "metric": "rougeL", "slice": "all", "n": 9, "value": 0.1, "low": -0.01,
         "high": 0.2, "p": 0.2, "p_holm": 0.4},
        {"from": "base", "to": "tuned", "metric": "perplexity", "slice": "all", "n": 9, "value": -7.0, "low": -8.0,
         "high": -6.0, "p": 0.001, "p_holm": 0.002},
        {"from": "base", "to": "tuned", "metric": "perplexity", "slice": "definition", "n": 3, "value": 1.0, "low": 0.0,
         "high": 2.0, "p": 1, "p_holm": 1},
        {"from": "base_two_shot", "to": "tuned", "metric": "rougeL", "slice": "all", "n": 5, "value": 0.05, "low": 0.01,
         "high": 0.09, "p": 0.001, "p_holm": 0.004},
    ],
}
ANSWERS = [{"id": "a", "type": "definition", "base": {"answer": "<b>x</b>", "nll": 1.0},
            "tuned": {"answer": "y", "nll": 2.0}},
           {"id": "gone", "type": "", "base": {}, "tuned": {}}]
ROWS = {"a": {"question": "What is <i>?", "answer": "It is.", "url": "javascript:alert(1)", "references": None}}


def test_rows_keep_order_and_say_what_is_significant():
    rows = comparison_rows(METRICS)
    assert [r["metric"] for r in rows] == ["perplexity", "rougeL", "stop_rate"]
    assert [r["significant"] for r in rows] == [True, False, False]
    assert rows[0] == {"metric": "perplexity", "base": 14.0, "tuned": 7.0, "delta": -7.0, "low": -8.0, "high": -6.0,
                       "p": 0.001, "p_holm": 0.002, "n": 9, "significant": True}
    assert rows[2]["base"] is None and rows[2]["delta"] is None


def test_other_rows_are_the_differences_that_the_table_leaves_out():
    sliced, two_shot = other_rows(METRICS)
    assert sliced == {"runs": "base -> tuned", "slice": "definition", "metric": "perplexity", "before": 12.0,
                      "after": 13.0, "delta": 1.0, "low": 0.0, "high": 2.0, "p_holm": 1, "n": 3, "significant": False}
    assert (two_shot["runs"], two_shot["before"], two_shot["n"]) == ("base_two_shot -> tuned", 0.25, 5)
    assert two_shot["after"] == pytest.approx(0.3) and two_shot["significant"]
    page = views.headline(METRICS)
    assert page.count("<tr>") == 4 and "12.0" not in page  # a head and the three metrics of the main table


@pytest.mark.parametrize(("low", "high", "p_holm", "significant"), [
    (0.1, 0.2, 0.01, True), (-0.2, -0.1, 0.01, True), (0.0, 0.2, 0.01, False), (0.1, 0.2, 0.05, False),
    (0.1, 0.2, None, True), (None, None, None, False),
])
def test_a_change_needs_its_interval_and_its_corrected_p(low, high, p_holm, significant):
    assert is_significant({"low": low, "high": high, "p_holm": p_holm}) == significant


def test_table_reads_as_people_do():
    assert comparison_table(METRICS)[1] == ["ROUGE-L", "0.200", "0.300", "+0.100", "\u22120.010 to +0.200", "9",
                                            "no significant change"]


def test_plots_need_no_missing_figure():
    assert [round(p["change"]) for p in delta_points(METRICS)] == [-50, 50]
    assert "<svg" in views.delta_plot(METRICS) and views.delta_plot(None) == ""
    log = [{"step": 1, "loss": 2.0}, {"step": 2, "eval_loss": 1.5}, {"step": 3, "grad_norm": 1}]
    assert [p["series"] for p in loss_points(log)] == ["training", "validation"]
    assert "<polyline" in views.loss_plot(log) and views.loss_plot([]) == ""


def test_plot_files_are_sound_alone_and_the_same_each_time():
    log = [{"step": 1, "loss": 2.0}, {"step": 1, "loss": float("nan")}, {"step": 2, "eval_loss": 1.5}]
    for plot in (plots.delta_plot(METRICS), plots.loss_plot(log), plots.loss_plot(log[:1])):
        text = plots.picture(plot)
        tree = ElementTree.fromstring(text)
        assert text == plots.picture(plot) and "nan" not in text
        assert not tree.findall(".//{*}style") and "style=" not in text and "href" not in text  # a Hub blocks them
        assert tree.find("{*}title").text == plot.title
    assert plots.loss_plot([]) is None and plots.delta_plot({"runs": {"base": {"metrics": {}, "n": 1},
                                                                      "tuned": {"metrics": {}, "n": 1}}}) is None


def test_a_change_beyond_the_scale_is_an_arrow_with_its_figure():
    metrics = {"runs": {run: {"n": 9, "metrics": {"rougeL": v, "stop_rate": v}} for run, v in
                        (("base", 0.2), ("tuned", 0.9))},
               "deltas": [{"from": "base", "to": "tuned", "metric": name, "n": 9, "value": value, "low": value - 0.02,
                           "high": value + 0.02} for name, value in (("rougeL", 0.04), ("stop_rate", 0.7))]}
    parts = plots.delta_plot(metrics).parts
    assert parts.count("<circle") == 1 and parts.count("<path") == 2 and "+350 %" in parts and "+20 %" in parts


def test_answers_during_training_are_plotted_where_the_log_has_them():
    log = [{"step": 0, "epoch": 0, "probe_rougeL": 0.2, "probe_stop_rate": 0.0, "probe_n": 8}, {"step": 1, "loss": 2.0},
           {"step": 4, "epoch": 1.0, "probe_rougeL": 0.5, "probe_stop_rate": 1.0, "probe_n": 8}]
    assert probe_points(log) == [{"step": 0, "rougeL": 0.2, "stop_rate": 0.0, "n": 8},
                                 {"step": 4, "rougeL": 0.5, "stop_rate": 1.0, "n": 8}]
    page = views.loss_plot(log)
    assert "ROUGE-L on 8 validation rows" in page and "Step 0 is the base" in page
    (left, low), (right, high) = re.findall(r"([\d.]+),([\d.]+)", re.findall('points="([^"]+)"', page)[1])
    assert float(left) < float(right) and float(low) > float(high)  # y grows downwards: the score rose
    assert "<td>0.200</td><td>0.500</td>" in page and "<td>0.000</td><td>1.000</td>" in page
    assert views.loss_plot(log[1:2]).count("<svg") == 1


def test_answers_are_joined_by_id_and_found_by_word():
    joined = answer_rows(ANSWERS, ROWS)
    assert [a["id"] for a in joined] == ["a"] and joined[0]["reference"] == "It is."
    assert matching_answers(joined, "IT is") == joined and matching_answers(joined, "no such") == []
    assert matching_answers(joined, "", "feature") == []


def test_no_text_becomes_markup_or_a_script_link():
    page = views.answer_detail(answer_rows(ANSWERS, ROWS)[0])
    assert "&lt;b&gt;x" in page and "What is &lt;i&gt;" in page and "href" not in page
