"""Why there is no GPU time for an answer, in plain words, and what a visitor can do now."""

import logging
import re

import gradio as gr

from kira.errors import UserError

SPENDS_NONE = "Results, fixed advice and answered examples need no GPU."
REFUSED = {  # by the title of the error that `spaces` raises
    "ZeroGPU quota exceeded": "Your GPU time for today does not suffice for this answer.{when} Ask for a shorter one "
                              "in Answer settings, or open this Space on huggingface.co, signed in, which gives more; "
                              "a program sends a token.",
    "ZeroGPU pending credits exceeded": "Other answers that you asked for still run; please wait until they end.",
    "ZeroGPU illegal duration": "So long an answer asks for more GPU time than is lent at once; choose a shorter one "
                                "in Answer settings.",
    "ZeroGPU queue timeout": "No GPU became free within a minute; please ask again in a few minutes. Who is signed in "
                             "to huggingface.co waits less.",
    "ZeroGPU client error": "No GPU can be lent at the moment; reload the page or come back in a few minutes.",
    "ZeroGPU worker error": "The GPU was taken back before the answer was whole; please ask again, perhaps for a "
                            "shorter one.",
}


def told(error: Exception) -> Exception:
    """The error that a visitor should see in place of `error`, which came while a GPU was asked for or lent."""
    if isinstance(error, UserError) or (isinstance(error, gr.Error) and error.title not in REFUSED):
        return error
    if isinstance(error, gr.Error):
        wait = re.search(r"Try again in (.+?)\. ", f"{error.message} ")
        when = f" There is more in {wait[1]} (hours, minutes, seconds)." if wait else ""
        words = REFUSED[error.title].format(when=when)
    else:  # the scheduler is out of reach, or speaks otherwise than `spaces` expects
        logging.getLogger("kira").warning("no GPU was lent", exc_info=error)
        words = REFUSED["ZeroGPU client error"]
    return gr.Error(f"{words} {SPENDS_NONE}", title="No GPU time", print_exception=False)
