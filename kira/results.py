"""The Results tab: figures, plots and answers of the adapter that a radio names, or of the only one."""

import gradio as gr

from kira import views
from kira.controls import PRIVATE
from kira.figures import matching_answers
from kira.service import service


def which() -> gr.Radio:
    """The adapters to choose from, the first chosen; hidden where there is nothing to choose."""
    names = [f"{found.repo} at {found.revision[:7]}" for found in service.results]
    return gr.Radio(choices=[(name, i) for i, name in enumerate(names)], value=0, visible=len(names) > 1)


def measured(number, text="", kind="", answer_id=None):
    """What Results shows of an adapter; filters and question stay where it has them too."""
    found = service.results[number]
    kinds = sorted({a["type"] for a in found.answers} - {""})
    kind = kind if kind in kinds else ""
    matching, answer_id = _matching(number, text, kind, answer_id)
    return (views.headline(found.metrics) if service.ready.is_set() else "", views.meanings(found.metrics),
            views.delta_plot(found.metrics), views.loss_plot(found.log),
            gr.Dropdown(choices=[("All types", ""), *((k, k) for k in kinds)], value=kind),
            _question(number, matching, answer_id), picked(number, answer_id),
            gr.Column(visible=bool(found.metrics)), gr.Column(visible=bool(found.answers)))


def picks(number, text, kind):
    """An adapter's questions that match, as choices; the first one is picked."""
    return _question(number, *_matching(number, text, kind, None))


def picked(number, answer_id):
    """The picked question in full."""
    return views.answer_detail(next((a for a in service.results[number].answers if a["id"] == answer_id), None))


def _matching(number, text, kind, wanted):
    """The answers that match, and the id of the one to show: `wanted` if it is among them, else the first."""
    matching = matching_answers(service.results[number].answers, text or "", kind or "")
    ids = [a["id"] for a in matching]
    return matching, wanted if wanted in ids else next(iter(ids), None)


def _question(number, matching, answer_id):
    return gr.Dropdown(choices=[(a["question"], a["id"]) for a in matching], value=answer_id,
                       label=f"Question ({len(matching)} of {len(service.results[number].answers)})")


def results_tab():
    """The tab; returns the radio and all else that `measured` fills."""
    number = gr.Radio([("", 0)], value=0, label="Adapter", visible=False)
    table = gr.HTML()
    with gr.Column(visible=False) as found:
        with gr.Accordion("What the metrics mean", open=False):
            meaning = gr.HTML()
        deltas, loss = gr.HTML(padding=True), gr.HTML(padding=True)
    with gr.Column(visible=False) as browser:
        gr.HTML('<div class="kira-text"><h2>Every answer behind these figures</h2></div>', padding=True)
        with gr.Row():
            text = gr.Textbox(label="Filter by words", max_length=200)
            kind = gr.Dropdown([("All types", "")], value="", label="Type")
        pick = gr.Dropdown([], label="Question", filterable=False)
        detail = gr.HTML(padding=True)
    quiet = {"queue": False, "show_progress": "hidden", **PRIVATE}
    gr.on([text.change, kind.change], picks, [number, text, kind], pick, **quiet)
    pick.change(picked, [number, pick], detail, **quiet)
    shown = [table, meaning, deltas, loss, kind, pick, detail, found, browser]
    number.input(measured, [number, text, kind, pick], shown, **quiet)
    return [number, *shown]
