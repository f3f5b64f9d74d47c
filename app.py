"""Kira's Space: Chat, Compare and Results in a browser; `ask`, `compare`, `results` and `triage` for programs.

    python app.py        (GRADIO_SERVER_PORT, GRADIO_SERVER_NAME, KIRA_*: see README)
"""

import html
import os
import socket
import sys
import threading
from itertools import zip_longest

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr  # noqa: E402

from kira import guard, health, limits, refusal, theme, views  # noqa: E402
from kira.controls import (  # noqa: E402
    PRIVATE,
    disclaimer,
    sampling_controls,
    status,
    stoppable,
)
from kira.endpoints import answers, ask, compare, results, triage  # noqa: E402
from kira.results import measured, results_tab, which  # noqa: E402
from kira.service import ON_ZEROGPU, REMOTE, service  # noqa: E402
from kira.settings import settings  # noqa: E402

PURPOSE = "Medical terms and health topics in plain words, by a small open model that anyone can check."
EXAMPLES = ("What is arachnodactyly?", "What does hypertension mean?", "What are common features of Marfan syndrome?",
            "What is the medical term for a fast heartbeat?")
TITLES = ["Base model", "Fine-tuned", *filter(None, [settings().beside_repo.split("/")[-1]])]  # of Compare's panes
MODEL = {"concurrency_id": "model", "concurrency_limit": 4 if ON_ZEROGPU else limits.VISITORS}


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


def side_by_side(question, *sampling):
    """Streams (a pane for each of TITLES, status)."""
    for step, _ in answers("compare", question, None, *sampling):
        panes = zip_longest(TITLES, step.texts if step else [], fillvalue="")
        yield *(views.pane(title, text) for title, text in panes), status(step)


def header() -> str:
    """Name, purpose, and which model at which revision speaks."""
    def named(source):
        url = f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co')}/{source.repo}/tree/{source.revision}"
        return views.link(url, source.repo if REMOTE else f"{source.repo} at {source.revision[:7]}")

    speaks = "Kira is being loaded." if not service.ready.is_set() else "No model answers at the moment."
    if service.published:
        first, *beside = service.published
        speaks = f"Answers: {named(first.adapter)}, fine-tuned from {named(first.base)}"
        speaks += "".join(f". Beside it in Compare and Results: {named(each.adapter)}" for each in beside)
    elif service.speaker:
        speaks = f"Answers: {named(service.speaker)}"
    if REMOTE and service.speaker:
        speaks += "; an inference server gives them, and which revision it has loaded it alone knows."
    notice = f'<p class="kira-notice" role="status">{html.escape(service.notice)}</p>' if service.notice else ""
    return f'<header class="kira-head"><h1>Kira</h1><p>{PURPOSE}</p><p class="speaks">{speaks}</p>{notice}</header>'


def refresh():
    """Everything on the page that depends on what is loaded, and a timer that ends with loading."""
    second = len(service.published) > 1
    return (header(), *(gr.Column(visible=second) for _ in TITLES[2:]), which(), *measured(0),
            gr.Timer(active=not service.ready.is_set()))


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


def build() -> gr.Blocks:
    """The whole page with its endpoints."""
    with gr.Blocks(title="Kira", analytics_enabled=False) as demo:
        head = gr.HTML(header())
        with gr.Tab("Chat"):
            chat_tab()
        with gr.Tab("Compare"):
            columns = compare_tab()
        with gr.Tab("Results"):
            shown = results_tab()
        # The conversation scrolls, so the keyboard must reach it.
        demo.load(None, js="() => document.querySelectorAll('[role=log]').forEach(e => e.tabIndex = 0)", **PRIVATE)
        timer = gr.Timer(1.0)
        gr.on([demo.load, timer.tick], refresh, None, [head, *columns, *shown, timer], queue=False,
              show_progress="hidden", **PRIVATE)
        gr.api(ask, api_name="ask", **MODEL)
        gr.api(compare, api_name="compare", **MODEL)
        gr.api(results, api_name="results")
        gr.api(triage, api_name="triage")
    # Open, as it is off a Space by default, a route of Gradio's would let anyone past the queue and leave rows running.
    return demo.queue(max_size=settings().queue_size, api_open=False)


def main() -> None:
    name = os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1")
    port = int(os.environ.get("GRADIO_SERVER_PORT") or 7860)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((name, port))
        except OSError:
            sys.exit(f"Port {port} is taken; stop what runs there or set GRADIO_SERVER_PORT to another one.")
    limits.keep_typed_text_out_of_the_log()
    service.start()
    # Reads the word lists, two seconds of work, before anybody asks.
    threading.Thread(target=guard.danger_in, args=("hello", 5), daemon=True).start()
    build().launch(
        server_name=name, server_port=port, theme=theme.theme(), css=theme.CSS, mcp_server=True, ssr_mode=False,
        show_error=False, enable_monitoring=False, run_history=False, footer_links=["api", "settings"],
        state_session_capacity=256,  # Gradio keeps some 100 KB for each session, and each program's call may be one
        max_file_size="1kb",  # nothing takes a file, yet Gradio's route for uploads is there
        app_kwargs={"routes": [health.ROUTE], "middleware": refusal.MIDDLEWARE,
                    "exception_handlers": refusal.HANDLERS},
    )


if __name__ == "__main__":
    main()
