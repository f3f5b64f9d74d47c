"""Kira's Space: Chat, Compare and Results in a browser; `ask`, `compare`, `results` and `triage` for programs.

    python app.py        (GRADIO_SERVER_PORT, GRADIO_SERVER_NAME, KIRA_*: see README)
"""

import html
import os
import socket
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr  # noqa: E402

from kira import (  # noqa: E402
    api_pages,
    downloads,
    health,
    kept_votes,
    limits,
    lines,
    mcp_offers,
    refusal,
    theme,
    translations,
    views,
)
from kira.about import about  # noqa: E402
from kira.chat_tab import chat_tab  # noqa: E402
from kira.compare_tab import compare_tab, loaded  # noqa: E402
from kira.controls import MODEL, PRIVATE  # noqa: E402
from kira.endpoints import ask, compare, results, triage  # noqa: E402
from kira.results import results_tab  # noqa: E402
from kira.service import REMOTE, service  # noqa: E402
from kira.settings import settings  # noqa: E402
from kira.translations import here, say  # noqa: E402
from kira.triage import warm_up  # noqa: E402


def header() -> str:
    """Name, purpose, and which model at which revision speaks."""
    def named(source):
        url = f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co')}/{source.repo}/tree/{source.revision}"
        return views.link(url, source.repo if REMOTE else f"{source.repo} at {source.revision[:7]}")

    speaks = say("loading") if not service.ready.is_set() else say("no_model")
    if service.published:
        first, *beside = service.published
        speaks = say("speaks_tuned", model=named(first.adapter), base=named(first.base))
        if beside:
            speaks += f". {say('beside', model=', '.join(named(each.adapter) for each in beside))}"
    elif service.speaker:
        speaks = say("speaks", model=named(service.speaker))
    if REMOTE and service.speaker:
        speaks += f"; {say('remote')}"
    notice = html.escape(service.notice)
    notice = notice and f'<p class="kira-notice" role="status" lang="en">{notice}</p>'
    return (f'<header class="kira-head"><h1>Kira</h1><p>{say("purpose")}</p><p class="speaks">{speaks}</p>{notice}'
            "</header>")


def refresh():
    """What depends on what is loaded and is in view or may be at once, and a timer that ends with loading."""
    return header(), *loaded(), gr.Timer(active=not service.ready.is_set())


def build() -> gr.Blocks:
    """The whole page with its endpoints."""
    with gr.Blocks(title="Kira", analytics_enabled=False) as demo:
        head = gr.HTML(header())
        with gr.Tab(here("tab_chat")):
            chat_tab(demo)
        with gr.Tab(here("tab_compare"), elem_id="compare"):
            compared = compare_tab(demo)
        timer = gr.Timer(1.0)
        with gr.Tab(here("tab_results")) as tab:
            results_tab(tab, timer)
        about()
        demo.load(None, None, None, js=translations.SCRIPT, **PRIVATE)
        gr.on([demo.load, timer.tick], refresh, None, [head, *compared, timer], queue=False,
              show_progress="hidden", **PRIVATE)
        gr.api(ask, api_name="ask", **MODEL)
        gr.api(compare, api_name="compare", **MODEL)
        gr.api(results, api_name="results")
        gr.api(triage, api_name="triage", concurrency_limit=limits.VISITORS)
    demo.space_id = None  # else a page opened at *.hf.space asks Google for fonts, for Gradio's own header of Spaces
    # Open, as it is off a Space by default, a route of Gradio's would let anyone past the queue and leave rows running.
    demo.queue(max_size=settings().queue_size, api_open=False)
    lines.admit(demo._queue)
    return demo


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
    kept_votes.commit_before_the_end()
    service.start(warm_up)
    build().launch(
        server_name=name, server_port=port, theme=theme.theme(), css=theme.CSS,
        i18n=translations.gradio_translations(), mcp_server=True, ssr_mode=False, show_error=False,
        enable_monitoring=False, run_history=False, footer_links=["api", "settings"],
        state_session_capacity=256,  # Gradio keeps some 100 KB for each session, and each program's call may be one
        max_file_size="1kb",  # nothing takes a file, yet Gradio's route for uploads is there
        app_kwargs={"routes": [health.ROUTE, *downloads.ROUTES, *api_pages.ROUTES],
                    "middleware": refusal.MIDDLEWARE, "exception_handlers": refusal.HANDLERS,
                    "lifespan": mcp_offers.lifespan},
    )


if __name__ == "__main__":
    main()
