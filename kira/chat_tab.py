"""The Chat tab: one conversation with the fine-tuned model."""

import html
import os
import random
from pathlib import Path

import gradio as gr

from kira import limits, views
from kira.controls import MODEL, PRIVATE, disclaimer, sampling_controls, status, stoppable
from kira.endpoints import answers
from kira.examples import EXAMPLES, Cache
from kira.service import called, service
from kira.settings import settings
from kira.step import FIXED
from kira.translations import here, say

BROWSER = Path(__file__).with_name("chat.js").read_text("utf-8")
CACHE = Cache()
# Switched on, answers are greedy; switched off, an empty seed stands for another draw each time.
REPRODUCIBLE = "(same, heat) => same ? [0, 0] : [heat > 0 ? heat : 0.7, null]"


def turns(question: str, answer: str, by: str = "") -> list[dict]:
    """For the Chatbot, which renders HTML and fetches images even when told to leave Markdown alone.

    `by`: the model that wrote the answer, if one did; the answer carries it, for a kept conversation may outlive it.
    """
    said = [{"role": "user", "content": html.escape(question, quote=False)}]
    if answer:
        said.append({"role": "assistant", "content": html.escape(answer, quote=False), "metadata": {"id": by}})
    return said


def typed(history: list[dict]) -> list[dict]:
    """The Chatbot's turns with their text as it was before `turns`."""
    return [{"role": turn["role"], "content": html.unescape(limits.text_of(turn["content"]))} for turn in history]


def chat(question, history, max_new_tokens, temperature, top_p, seed):
    """Streams (textbox, conversation, status); the text box is emptied once the question is accepted."""
    box, earlier = "", typed(history)[-settings().max_turns:]
    drawn = seed is None  # another draw each time, and the line under it says which
    seed = random.SystemRandom().randint(0, limits.MAX_SEED) if drawn else seed
    if found := CACHE.find(question, history, max_new_tokens, temperature):
        yield "", turns(question, found.texts[0], called(service.speaker)), str(here("cached"))
        return
    try:
        for step, notice in answers(None, question, earlier, max_new_tokens, temperature, top_p, seed):
            by = called(service.speaker) if step and step.ended != FIXED and service.speaker else ""
            if step and by:
                step.forgotten += len(history) - len(earlier)
                if not notice:
                    CACHE.keep(question, history, max_new_tokens, temperature, step)
            line = status(step)
            if drawn and temperature and step and step.ended and by:
                line += f" {say('drawn', seed=seed)}"
            yield box, [*history, *turns(question, step.texts[0] if step else "", by)], line
            box = gr.skip()
    except gr.Error as error:
        if service.engine or error.message != service.notice:
            raise
        yield box, [*history, *turns(question, service.notice)], ""  # stays readable beside the question


def retry(history, *sampling):
    """The last question once more; nothing when there is none."""
    asked = [i for i, turn in enumerate(history) if turn["role"] == "user"]
    if asked:
        question = typed(history)[asked[-1]]["content"]
        for _, talk, line in chat(question, history[: asked[-1]], *sampling):
            yield talk, line


def report():
    """Where a bad answer is told to Kira's makers, by the visitor's own hand."""
    place = f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co')}/{settings().adapter_repo}/discussions/new"
    with gr.Accordion(here("report"), open=False):
        gr.HTML(f"<p>{here('report_how')}</p>", elem_classes="kira-text")
        gr.HTML(f"<p>{views.link(place, here('report_open'))}</p>", elem_classes="kira-text")


def chat_tab(demo: gr.Blocks):
    talk = gr.Chatbot(show_label=False, height="46vh", min_height=220, render_markdown=False, buttons=[],
                      autoscroll=False, feedback_options=("Like", "Dislike"), elem_id="kira-talk",
                      placeholder=here("ask_about"))
    line = gr.HTML("", elem_classes="kira-status")
    with gr.Row(elem_classes="kira-examples"):
        examples = [gr.Button(text, size="sm", min_width=150) for text in EXAMPLES]
    box = gr.Textbox(label=here("your_question"), lines=2, max_lines=6, max_length=settings().max_question_chars,
                     placeholder=here("what_is"), elem_id="kira-question")
    disclaimer()
    with gr.Row(elem_classes="kira-buttons"):
        send = gr.Button(here("send"), variant="primary", min_width=60)
        stop, again, clear = (gr.Button(here(name), min_width=60) for name in ("stop", "retry", "clear"))
    with gr.Row(elem_classes="kira-tools"):
        undo, edit, copy_answer, copy_all = (
            gr.Button(here(name), size="sm", min_width=130) for name in ("undo", "edit", "copy_answer", "copy_all"))
    keep = gr.Checkbox(False, label=here("keep"), info=here("keep_info"))
    controls = sampling_controls()
    with controls[0].parent:
        same = gr.Checkbox(True, label=here("reproducible"), info=here("reproducible_info"))
    report()
    shared = {"show_progress": "hidden", **MODEL, **PRIVATE}
    running = [
        gr.on([send.click, box.submit], chat, [box, talk, *controls], [box, talk, line], **shared),
        again.click(retry, [talk, *controls], [talk, line], **shared),
        *(button.click(chat, [button, talk, *controls], [box, talk, line], **shared) for button in examples),
    ]
    stoppable(stop, running, line)

    def at_rest(button, outputs, js):
        # One round trip after the cancellation: a step that is on its way must not bring back what was taken away.
        button.click(lambda: None, cancels=running, queue=False, **PRIVATE).then(None, talk, outputs, js=js, **PRIVATE)

    at_rest(clear, [talk, line], "() => [[], '']")
    at_rest(undo, [talk, line], "talk => [kira.undone(talk), '']")
    at_rest(edit, [talk, line, box], "talk => (kira.focus(), [kira.undone(talk), '', kira.lastAsked(talk)])")
    copy_answer.click(None, talk, line, js="talk => kira.copyAnswer(talk)", **PRIVATE)
    copy_all.click(None, talk, line, js="talk => kira.copyAll(talk)", **PRIVATE)
    talk.like(None, None, line, js="() => kiraSay('thanks')", **PRIVATE)
    same.input(None, [same, controls[1]], [controls[1], controls[3]], js=REPRODUCIBLE, **PRIVATE)
    gr.on([controls[1].input, controls[3].input], None, [controls[1], controls[3]], same,
          js="(heat, seed) => heat === 0 || seed !== null", **PRIVATE)
    gr.on([talk.change, keep.change], None, [talk, keep], None, js="(talk, keep) => kira.remember(talk, keep)",
          **PRIVATE)
    demo.load(None, None, [talk, keep], js=BROWSER, show_progress="hidden", **PRIVATE)
