"""The Results tab: figures, plots and answers of the adapter that a radio names, or of the only one."""

import gradio as gr

from kira import answer_order, bundled, experiments, report_views, views
from kira.controls import PRIVATE
from kira.downloads import files
from kira.figures import matching_answers
from kira.service import service
from kira.translations import here, say

QUIET = {"queue": False, "show_progress": "hidden", **PRIVATE}


def filled(number, *chosen):
    """All that the tab shows, `chosen` as in `measured`, and the adapters to choose from, hidden where there is one."""
    names = [f"{found.repo} at {found.revision[:7]}" for found in service.results]
    return (gr.Radio(choices=[(name, i) for i, name in enumerate(names)], value=number, visible=len(names) > 1),
            report_views.safety_report(bundled.report("safety"), bundled.report("help_now")),
            *measured(number, *chosen))


def measured(number, text="", kind="", order=answer_order.AS_PUBLISHED, answer_id=None):
    """What Results shows of an adapter; filters and question stay where it has them too."""
    found = bundled.results(number)
    kinds = sorted({a["type"] for a in found.answers} - {""})
    kind = kind if kind in kinds else ""
    matching, answer_id = _matching(number, text, kind, order, answer_id)
    headline = views.headline(found.metrics, found.repo if found.bundled else "")
    return (headline if service.ready.is_set() else "", views.meanings(found.metrics), views.delta_plot(found.metrics),
            views.slices(found.metrics), views.loss_plot(found.log), views.safety_delta(found.metrics),
            report_views.links(say("files"), str(number), files(number)),
            gr.Dropdown(choices=[(say("all_types"), ""), *((k, k) for k in kinds)], value=kind),
            _question(number, matching, answer_id), picked(number, answer_id),
            gr.Column(visible=bool(found.metrics)), gr.Column(visible=bool(found.answers)))


def picks(number, text, kind, order):
    """An adapter's questions that match, as choices; the first one is picked."""
    return _question(number, *_matching(number, text, kind, order, None))


def picked(number, answer_id):
    """The picked question in full."""
    return views.answer_detail(next((a for a in bundled.results(number).answers if a["id"] == answer_id), None))


def _matching(number, text, kind, order, wanted):
    """The answers that match, and the id of the one to show: `wanted` if it is among them, else the first."""
    matching = answer_order.ordered(matching_answers(bundled.results(number).answers, text or "", kind or ""), order)
    ids = [a["id"] for a in matching]
    return matching, wanted if wanted in ids else next(iter(ids), None)


def _question(number, matching, answer_id):
    total = len(bundled.results(number).answers)
    return gr.Dropdown(choices=[(a["question"], a["id"]) for a in matching], value=answer_id,
                       label=say("question_count", matching=len(matching), total=total))


def compared(recipe, split, text):
    """The experiments that match, as two tables."""
    return tuple(view(experiments.matching(rows, recipe or "", split or "", text or ""), len(rows))
                 for view, rows in ((report_views.comparisons, bundled.comparisons()),
                                    (report_views.runs, bundled.runs())))


def results_tab(tab: gr.Tab, loading: gr.Timer):
    """What stands on `tab`, made when it is opened, for most visitors never do, and while models are `loading`."""
    number = gr.Radio([("", 0)], value=0, label=here("adapter"), visible=False)
    table = gr.HTML()
    with gr.Column(visible=False) as found:
        with gr.Accordion(here("meaning"), open=False):
            meaning = gr.HTML()
        deltas, cells, loss, safety, taken = (gr.HTML(padding=True) for _ in range(5))
    report = gr.HTML(padding=True)
    _experiments()
    with gr.Column(visible=False) as browser:
        gr.HTML(f'<div class="kira-text"><h2>{here("every_answer")}</h2></div>', padding=True)
        with gr.Row():
            text = gr.Textbox(label=here("filter"), max_length=200)
            kind = gr.Dropdown([(here("all_types"), "")], value="", label=here("type"))
            order = gr.Dropdown([(here(name), name) for name in answer_order.ORDERS], value=answer_order.AS_PUBLISHED,
                                label=here("order"))
        pick = gr.Dropdown([], label=here("question"), filterable=False)
        detail = gr.HTML(padding=True)
    gr.on([text.change, kind.change, order.change], picks, [number, text, kind, order], pick, **QUIET)
    pick.change(picked, [number, pick], detail, **QUIET)
    shown = [table, meaning, deltas, cells, loss, safety, taken, kind, pick, detail, found, browser]
    chosen = [number, text, kind, order, pick]
    number.input(measured, chosen, shown, **QUIET)
    gr.on([tab.select, loading.tick], filled, chosen, [number, report, *shown], **QUIET)


def _experiments():
    """Every run that ships with the repository, folded away."""
    rows = bundled.runs()
    if not rows:
        return
    with gr.Accordion(here("experiments"), open=False):
        gr.HTML('<div class="kira-text" lang="en"><p class="kira-small">A copy that ships with this Space, made by '
                "<code>python -m train_space sweep</code>; other training runs than that of the model that answers "
                "here.</p></div>", padding=True)
        with gr.Row():
            recipe, split = (
                gr.Dropdown([(here("all"), ""), *dict.fromkeys(row[key] for row in rows)], value="", label=here(name))
                for key, name in (("label", "recipe"), ("split", "split")))
            text = gr.Textbox(label=here("search_runs"), max_length=200)
        tables = [gr.HTML(shown, padding=True) for shown in compared("", "", "")]
        tables_as_files = [name for name in bundled.FILES if name.endswith(".csv")]
        gr.HTML(report_views.links("Files:", "shipped", tables_as_files), padding=True)
    gr.on([recipe.change, split.change, text.change], compared, [recipe, split, text], tables, **QUIET)
