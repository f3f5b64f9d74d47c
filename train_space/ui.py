"""The training Space: from a person's rows to a measured adapter in their own account, step by step in a browser.

    python -m train_space.ui        (GRADIO_SERVER_PORT, GRADIO_SERVER_NAME; HF_TOKEN where there is no sign-in)
"""

import atexit
import os
import signal
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr  # noqa: E402

from kira import theme  # noqa: E402
from kira.controls import PRIVATE  # noqa: E402
from train_space import ui_actions as actions  # noqa: E402
from train_space import ui_data, ui_job, ui_recipe  # noqa: E402
from train_space.ui_actions import HUB, START, UPLOAD  # noqa: E402
from train_space.ui_machine import WORK  # noqa: E402
from train_space.ui_visitor import ON_SPACE  # noqa: E402

HEAD = """<header class="kira-head"><h1>Train your own Kira</h1>
<p>From your questions and answers to a small model, measured against its base, in your own account.</p></header>
"""
PRIVACY = """<p class="kira-disclaimer">Use no patient data and nothing confidential. What you upload stays on this
machine for your run only: it is removed when you publish or discard, and else half an hour after your last look at a
run that has ended; without a run, within two hours. It is never logged. Your token is handed to your own run and kept
nowhere. Only Publish, or a job that you start, puts anything on the Hub. A run lives on this machine only: when a Space
restarts or falls asleep, it is gone.</p>"""
CSS = theme.CSS + """
.kira-bar {width: min(24rem, 70%); accent-color: var(--kira-mark)}
.kira-rows th, .kira-rows td {text-align: left !important; white-space: normal !important; vertical-align: top}
.kira-text pre {background: var(--kira-soft); padding: .6rem .8rem; border-radius: .4rem}
"""


def step(number: int, title: str) -> None:
    gr.HTML(f'<div class="kira-text"><h2>{number}. {title}</h2></div>')


def data_step() -> list:
    """Upload or Hub dataset, with a preview: (kind, file, question, answer, repo, licence)."""
    step(3, "Questions and answers")
    kind = gr.Radio([UPLOAD, HUB], value=UPLOAD, label="Where the rows are")
    with gr.Column() as upload:
        file = gr.File(label=f"CSV or JSON Lines, at most {ui_data.MAX_UPLOAD_MB} MB",
                       file_types=[".csv", ".jsonl"], height=170)
    with gr.Column(visible=False) as hub:
        repo = gr.Textbox(label="Hub dataset", placeholder="OWNER/NAME", max_length=200,
                          info="its split `train` is read; any two of its columns can be chosen")
        look = gr.Button("Look at it")
    preview = gr.HTML("")
    with gr.Row():
        question, answer = (gr.Dropdown([], label=f"Column with the {what}", allow_custom_value=True, min_width=220)
                            for what in ("questions", "answers"))
    licence = gr.Textbox(label="Licence of the rows", placeholder="cc-by-4.0", max_length=100,
                         info="as their owner states it, by the Hub's name for it; the cards will say so")
    found = [preview, question, answer]
    kind.change(actions.chosen, [kind, file], [upload, hub, *found], **PRIVATE)
    gr.on([file.upload, file.clear], actions.look_at_upload, file, found, **PRIVATE)
    gr.on([look.click, repo.submit], actions.look_at_dataset, repo, found, **PRIVATE)
    return [kind, file, question, answer, repo, licence]


def build() -> gr.Blocks:
    """The whole page."""
    # What Gradio keeps of an upload goes when it is an hour old.
    with gr.Blocks(title="Train your own Kira", analytics_enabled=False, delete_cache=(600, 3600)) as demo:
        gr.HTML(HEAD)
        gr.HTML(PRIVACY)
        if ON_SPACE:
            gr.DuplicateButton("Duplicate this Space", size="sm")
        step(1, "Sign in")
        if ON_SPACE:
            gr.LoginButton()
        here = gr.HTML("")
        step(2, "The base")
        base = gr.Textbox(START.base_repo, label="Hub id of the chat model", max_length=200,
                          info="OWNER/NAME; it must have a chat template")
        data = data_step()
        step(4, "The recipe")
        name = gr.Textbox("my-kira", label="Name of your model", max_length=60,
                          info="NAME-lora and NAME-split will be the repositories in your account")
        with gr.Row():
            fields = ui_recipe.controls(ui_recipe.MAIN, START)
        with gr.Accordion("More of the recipe", open=False), gr.Row():
            fields += ui_recipe.controls(ui_recipe.MORE, START)
        form = [base, *data, name, *fields]

        step(5, "Estimate, then train")
        gr.HTML('<p class="kira-small">The estimate prepares the rows and tries three steps: it tells time and memory '
                "on this machine before you decide.</p>")
        with gr.Row():
            estimate = gr.Button("Estimate", min_width=110)
            train = gr.Button("Train", variant="primary", min_width=110)
            cancel = gr.Button("Cancel", visible=False, min_width=110)
            resume = gr.Button("Resume", visible=False, min_width=110)
            discard = gr.Button("Discard", visible=False, min_width=110)
        picture, before = gr.HTML(""), gr.State("")
        with gr.Column(visible=False) as publishing:
            step(6, "Publish")
            agreed = gr.Checkbox(label="I may publish these rows, and know that adapter and split become public")
            publish = gr.Button("Publish to my account", variant="primary")
        with gr.Accordion("Rather on a machine of the Hub", open=False):
            gr.HTML('<p class="kira-small">A Hub job runs the same recipe on rented hardware, at your cost, on the '
                    "rows of a Hub dataset, and publishes to your account at its end.</p>")
            flavor = gr.Dropdown(list(ui_job.FLAVORS), value=ui_job.FLAVORS[0], label="Hardware")
            job_agreed = gr.Checkbox(label="I pay for the job, and it may publish what it makes")
            job = gr.Button("Start a job")
            job_line = gr.HTML("")

        timer = gr.Timer(1.0, active=False)
        state = [picture, before, estimate, train, cancel, resume, publishing, discard, timer]
        quiet = {"show_progress": "hidden", **PRIVATE}
        demo.load(actions.who_is_here, None, here, **quiet)
        gr.on([demo.load, timer.tick], actions.tick, before, state, queue=False, **quiet)
        estimate.click(actions.estimate, form, state, **quiet)
        train.click(actions.train, form, state, **quiet)
        resume.click(actions.resume, None, state, **quiet)
        publish.click(actions.publish, agreed, state, **quiet)
        cancel.click(actions.cancel, None, state, **quiet)
        discard.click(actions.discard, None, state, **quiet)
        job.click(actions.job, [job_agreed, flavor, *form], job_line, **quiet)
    demo.space_id = None  # as in app.py: no page of ours asks others for fonts
    return demo.queue(max_size=16, default_concurrency_limit=4, api_open=False)


def main() -> None:
    os.environ["GRADIO_TEMP_DIR"] = str(WORK / "uploads")  # which goes with the server
    atexit.register(actions.machine.close)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that what was uploaded is removed then, too
    build().launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if ON_SPACE else "127.0.0.1"),
        server_port=int(os.environ.get("GRADIO_SERVER_PORT") or 7860), theme=theme.theme(), css=CSS, ssr_mode=False,
        show_error=False, enable_monitoring=False, run_history=False, footer_links=["settings"],
        max_file_size=f"{ui_data.MAX_UPLOAD_MB}mb",
    )


if __name__ == "__main__":
    main()
