"""Who is at the training page: on a Space who signed in, elsewhere whose token the environment holds."""

import os
from dataclasses import dataclass, field
from functools import lru_cache

import gradio as gr

from kira.errors import UserError

ON_SPACE = bool(os.environ.get("SPACE_ID"))


@dataclass(frozen=True)
class Visitor:
    """`name` on the Hub, and the token that acts for it; never printed."""

    name: str
    token: str = field(repr=False)


def visitor(profile: gr.OAuthProfile | None, token: gr.OAuthToken | None) -> Visitor:
    """Raises UserError with what to do when nobody is signed in.

    On a Space the environment's token is its owner's, so it is never used for a visitor.
    """
    if ON_SPACE:
        if profile is None or token is None:
            raise UserError("Please sign in first: training reads and publishes with your own account.")
        return Visitor(profile.username, token.token)
    from huggingface_hub import get_token

    if not (found := get_token()):
        raise UserError("Set HF_TOKEN to a token with write access and start this page again.")
    return Visitor(_name(found), found)


@lru_cache(maxsize=4)
def _name(token: str) -> str:
    from huggingface_hub import HfApi

    from train_space.hub import hub_errors

    with hub_errors("ask the Hub whose token this is"):
        return HfApi(token=token).whoami()["name"]
