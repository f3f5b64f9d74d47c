"""What Chat and Compare share on the page: settings of an answer, the disclaimer, the status line, Stop."""

import gradio as gr

from . import limits
from .service import ON_ZEROGPU, START_S, STEPS_PER_SECOND
from .settings import settings
from .step import FIXED
from .translations import english, here, say

DISCLAIMER = english("disclaimer")  # for programs and files
DEFAULT_TOKENS = min(settings().default_new_tokens, settings().max_new_tokens)
PRIVATE = {"api_visibility": "private"}
MODEL = {"concurrency_id": "model", "concurrency_limit": 4 if ON_ZEROGPU else limits.VISITORS}


def status(step) -> str:
    """One line under an answer."""
    if step is None:
        return str(here("waiting"))
    if step.ended == FIXED:
        return " ".join(step.noted(say))
    if not step.ended:
        return str(here("answering"))
    speed = say("speed", tokens=sum(step.tokens), rate=f"{step.rate:.0f}", seconds=f"{step.first_s:.1f}")
    return " ".join([speed, *step.noted(say)])


def gpu_price() -> str | None:
    """What an answer asks for of a visitor's daily GPU time, before it is asked for; None where no GPU is lent."""
    if not ON_ZEROGPU:
        return None
    return f"asks for {START_S} seconds of your GPU time for today, and one more for {STEPS_PER_SECOND} tokens"


def sampling_controls():
    """Sliders in a closed accordion, in the order of `answers`."""
    with gr.Accordion(here("settings"), open=False):
        return [
            gr.Slider(1, settings().max_new_tokens, DEFAULT_TOKENS, step=1, label=here("longest"), info=gpu_price()),
            gr.Slider(0, limits.MAX_TEMPERATURE, 0, step=0.1, label=here("temperature"),
                      info=here("temperature_info")),
            gr.Slider(0.05, 1, 1, step=0.05, label=here("top_p"), info=here("top_p_info")),
            gr.Number(0, label=here("seed"), precision=0, minimum=0, maximum=limits.MAX_SEED),
        ]


def disclaimer():
    """The sentence that stands beside every question box."""
    gr.HTML(f'<p class="kira-disclaimer">{here("disclaimer")}</p>')


def stoppable(stop, running, line):
    """`stop` ends what runs. Whatever ended it, `line` says so once the last streamed step is in."""
    stop.click(None, cancels=running, **PRIVATE)
    ended = 'line => ["answering", "waiting"].map(kiraSay).includes(line) ? kiraSay("stopped") : line'
    for event in running:
        event.then(None, line, line, js=ended, **PRIVATE)  # Gradio runs this after a Stop, not after an error
        event.failure(None, line, line, js=ended, **PRIVATE)
