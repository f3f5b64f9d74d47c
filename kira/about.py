"""What a visitor may ask about the Space itself: privacy, waiting, signing in, a copy of their own."""

import os

import gradio as gr

from kira import views
from kira.kept_votes import keeper
from kira.service import ON_ZEROGPU, REMOTE
from kira.translations import here

ON_SPACE = bool(os.environ.get("SPACE_ID"))


def about() -> None:
    """A closed accordion at the end of the page."""
    with gr.Accordion(here("about"), open=False):
        said = "".join(f"<h2>{title}</h2><p>{text}</p>" for title, text in _said())
        gr.HTML(f'<div lang="en">{said}</div>', elem_classes="kira-text")
        if ON_SPACE:
            gr.DuplicateButton("Duplicate this Space", size="sm")


def _said() -> list[tuple[str, str]]:
    reader = "an inference server that the owner of this Space chose, which reads it" if REMOTE else "the model"
    votes = "a vote in Compare is kept, its question and answers only if you tick the box" if keeper else (
        "votes are not kept")
    said = [("What becomes of your question",
             f"It goes to this server and to {reader}, and is forgotten once it is answered: it is not logged and not "
             f"stored; {votes}. A conversation lives in this tab and, if you tick the box, in this browser. Your "
             "network address is kept for a minute, scrambled, so that nobody floods Kira. Ask nothing that names a "
             "person.")]
    if ON_SPACE:
        said.append(("Waiting", "A Space that nobody visited for a while is asleep. The Hub wakes it for you and shows "
                     "its own page meanwhile; then this page says that Kira is being loaded. You can ask at once: the "
                     "answer follows when the model is there."))
    if ON_ZEROGPU:
        account = views.link("https://huggingface.co/login", "sign in to the Hub")
        said.append(("Signing in", "An answer takes some seconds of the GPU time that the Hub gives you each day. "
                     f"There is more of it for you if you {account} and open this Space there, on huggingface.co. Kira "
                     "itself asks for no account."))
    if ON_SPACE:
        said.append(("A copy of your own", "Duplicate this Space into your account: on hardware of yours nobody is "
                     "before you, and it can serve an adapter that you trained."))
    return said
