"""What Chat and Compare share on the page: settings of an answer, the disclaimer, the status line, Stop."""

import gradio as gr

from . import limits
from .service import ON_ZEROGPU, START_S, STEPS_PER_SECOND
from .settings import settings
from .step import FIXED

DISCLAIMER = ("Kira gives general health information. It is not a doctor and may be wrong. "
              "In an emergency call your local emergency number (112, 911, 999) now.")
WAITING = "Kira is being loaded; your answer follows."
ANSWERING = "Answering …"
DEFAULT_TOKENS = min(settings().default_new_tokens, settings().max_new_tokens)
PRIVATE = {"api_visibility": "private"}
MODEL = {"concurrency_id": "model", "concurrency_limit": 4 if ON_ZEROGPU else limits.VISITORS}


def status(step) -> str:
    """One line under an answer."""
    if step is None:
        return WAITING
    if step.ended == FIXED:
        return " ".join(step.notes)
    speed = f"{sum(step.tokens)} tokens, {step.rate:.0f} a second, first after {step.first_s:.1f} s."
    return " ".join([speed, *step.notes]) if step.ended else ANSWERING


def gpu_price() -> str | None:
    """What an answer asks for of a visitor's daily GPU time, before it is asked for; None where no GPU is lent."""
    if not ON_ZEROGPU:
        return None
    return f"asks for {START_S} seconds of your GPU time for today, and one more for {STEPS_PER_SECOND} tokens"


def sampling_controls():
    """Sliders in a closed accordion, in the order of `answers`."""
    with gr.Accordion("Answer settings", open=False):
        return [
            gr.Slider(1, settings().max_new_tokens, DEFAULT_TOKENS, step=1, label="Longest answer (tokens)",
                      info=gpu_price()),
            gr.Slider(0, limits.MAX_TEMPERATURE, 0, step=0.1, label="Temperature",
                      info="0 always gives the same answer; higher values vary more"),
            gr.Slider(0.05, 1, 1, step=0.05, label="Top-p", info="share of likely words to draw from"),
            gr.Number(0, label="Seed", precision=0, minimum=0, maximum=limits.MAX_SEED),
        ]


def disclaimer():
    """The sentence that stands beside every question box."""
    gr.HTML(f'<p class="kira-disclaimer">{DISCLAIMER}</p>')


def stoppable(stop, running, line):
    """`stop` ends what runs. Whatever ended it, `line` says so once the last streamed step is in."""
    stop.click(None, cancels=running, **PRIVATE)
    ended = f'line => ["{ANSWERING}", "{WAITING}"].includes(line) ? "Stopped." : line'
    for event in running:
        event.then(None, line, line, js=ended, **PRIVATE)  # Gradio runs this after a Stop, not after an error
        event.failure(None, line, line, js=ended, **PRIVATE)
