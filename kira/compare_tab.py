"""The Compare tab: one question, answered by every model at once."""

from itertools import zip_longest

import gradio as gr

from kira import views
from kira.controls import MODEL, PRIVATE, disclaimer, sampling_controls, status, stoppable
from kira.endpoints import answers
from kira.settings import settings

TITLES = ["Base model", "Fine-tuned", *filter(None, [settings().beside_repo.split("/")[-1]])]  # of Compare's panes


def side_by_side(question, *sampling):
    """Streams (a pane for each of TITLES, status)."""
    for step, _ in answers("compare", question, None, *sampling):
        panes = zip_longest(TITLES, step.texts if step else [], fillvalue="")
        yield *(views.pane(title, text) for title, text in panes), status(step)


def compare_tab():
    box = gr.Textbox(label="Question for every model", lines=2, max_length=settings().max_question_chars,
                     placeholder="What is …?")
    disclaimer()
    with gr.Row():
        go = gr.Button("Compare", variant="primary", min_width=80)
        stop = gr.Button("Stop", min_width=80)
    with gr.Row():
        panes, columns = [], []
        for title in TITLES:
            with gr.Column(min_width=280, visible=title in TITLES[:2]) as column:  # one below the other on a phone
                panes.append(gr.HTML(views.pane(title, "")))
                columns.append(column)
    line = gr.HTML("", elem_classes="kira-status")
    controls = sampling_controls()
    event = gr.on([go.click, box.submit], side_by_side, [box, *controls], [*panes, line], show_progress="hidden",
                  **MODEL, **PRIVATE)
    stoppable(stop, [event], line)
    return columns[2:]
