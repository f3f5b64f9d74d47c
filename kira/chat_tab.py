"""The Chat tab: one conversation with the fine-tuned model."""

import html

import gradio as gr

from kira import limits
from kira.controls import MODEL, PRIVATE, disclaimer, sampling_controls, status, stoppable
from kira.endpoints import answers
from kira.service import service
from kira.settings import settings

EXAMPLES = ("What is arachnodactyly?", "What does hypertension mean?", "What are common features of Marfan syndrome?",
            "What is the medical term for a fast heartbeat?")


def turns(question: str, answer: str) -> list[dict]:
    """For the Chatbot, which renders HTML and fetches images even when told to leave Markdown alone."""
    said = [("user", question), ("assistant", answer)][: 2 if answer else 1]
    return [{"role": role, "content": html.escape(text, quote=False)} for role, text in said]


def typed(history: list[dict]) -> list[dict]:
    """The Chatbot's turns with their text as it was before `turns`."""
    return [{"role": turn["role"], "content": html.unescape(limits.text_of(turn["content"]))} for turn in history]


def chat(question, history, *sampling):
    """Streams (textbox, conversation, status); the text box is emptied once the question is accepted."""
    box, earlier = "", typed(history)[-settings().max_turns:]
    try:
        for step, _ in answers("chat", question, earlier, *sampling):
            yield box, [*history, *turns(question, step.texts[0] if step else "")], status(step)
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


def chat_tab():
    talk = gr.Chatbot(show_label=False, height="46vh", min_height=220, render_markdown=False, buttons=["copy_all"],
                      feedback_options=None, placeholder="Ask about a medical term or a health topic.")
    line = gr.HTML("", elem_classes="kira-status")
    with gr.Row(elem_classes="kira-examples"):
        examples = [gr.Button(text, size="sm", min_width=150) for text in EXAMPLES]
    box = gr.Textbox(label="Your question", lines=2, max_lines=6, max_length=settings().max_question_chars,
                     placeholder="What is …?")
    disclaimer()
    with gr.Row():
        send = gr.Button("Send", variant="primary", min_width=60)
        stop, again, clear = (gr.Button(name, min_width=60) for name in ("Stop", "Retry", "Clear"))
    controls = sampling_controls()
    shared = {"show_progress": "hidden", **MODEL, **PRIVATE}
    running = [
        gr.on([send.click, box.submit], chat, [box, talk, *controls], [box, talk, line], **shared),
        again.click(retry, [talk, *controls], [talk, line], **shared),
        *(button.click(chat, [button, talk, *controls], [box, talk, line], **shared) for button in examples),
    ]
    stoppable(stop, running, line)
    # The page is emptied one round trip after the cancellation: a step that is on its way must not fill it again.
    clear.click(lambda: None, cancels=running, queue=False, **PRIVATE).then(
        None, None, [talk, line], js="() => [[], '']", **PRIVATE)
