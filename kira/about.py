"""What a visitor may ask about the Space itself: privacy, waiting, signing in, a copy of their own."""

import os
from html import escape

import gradio as gr

from kira import views
from kira.controls import PRIVATE
from kira.kept_votes import keeper
from kira.service import ON_ZEROGPU, REMOTE
from kira.translations import here, say

ON_SPACE = bool(os.environ.get("SPACE_ID"))


def about() -> None:
    """A closed accordion at the end of the page, filled when it is opened."""
    with gr.Accordion(here("about"), open=False) as fold:
        text = gr.HTML(padding=True)
        if ON_SPACE:
            gr.DuplicateButton("Duplicate this Space", size="sm")
    fold.expand(_said, None, text, queue=False, show_progress="hidden", **PRIVATE)


def _said() -> str:
    votes = "about_votes_kept" if keeper else "about_votes_not_kept"
    parts = {"about_privacy_title": ["about_privacy", *["about_remote"] * REMOTE, votes]}
    if ON_SPACE:
        parts["about_waiting_title"] = ["about_waiting"]
    if ON_ZEROGPU:
        parts["about_signing_title"] = ["about_signing"]
    if ON_SPACE:
        parts["about_copy_title"] = ["about_copy"]
    told = "".join(f"<h2>{escape(say(title))}</h2>" + "".join(f"<p>{escape(say(text))}</p>" for text in texts)
                   for title, texts in parts.items())
    account = f"<p>{views.link('https://huggingface.co/login', say('about_sign_in'))}</p>" if ON_ZEROGPU else ""
    return f'<div class="kira-text">{told}{account}</div>'
