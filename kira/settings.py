"""Every limit, default id and revision of the Space: one frozen dataclass, read once from the environment.

README's front matter (models, datasets) and its table of variables are generated from this file, so the
owner's repositories are named here and nowhere else.
"""

import math
import os
from dataclasses import dataclass, field, fields
from functools import cache
from urllib.parse import urlsplit

from kira.errors import UserError

PREFIX = "KIRA_"
MOST_BESIDE = 4  # each takes its part of every step of a batch, and of a GPU's memory


def _setting(default, doc, minimum=None, maximum=None, secret=False):
    return field(default=default, repr=not secret,
                 metadata={"doc": doc, "minimum": minimum, "maximum": maximum, "secret": secret})


@dataclass(frozen=True)
class Settings:
    """One instance for the process; each field is overridden by the variable KIRA_<FIELD IN CAPITALS>."""

    adapter_repo: str = _setting(
        "kira-project/kira-tinyllama-1.1b-medical-lora", "Hub id of the fine-tuned adapter that the Space serves"
    )
    adapter_revision: str = _setting(
        "", "commit sha, tag or branch of the adapter; empty: the head, resolved to its sha once at start"
    )
    beside_repos: str = _setting(
        "", "Hub ids of further adapters of the same base, each perhaps with @revision and with spaces between, to "
        "choose from in Compare and Results; at most 4"
    )
    votes_repo: str = _setting(
        "", "Hub id of a dataset in which Compare's blind votes are kept, made private if new; empty: none are kept"
    )
    dataset_repo: str = _setting(
        "kira-project/kira-medical-flashcards", "Hub id under which `train_space` publishes the split by default"
    )
    base_repo: str = _setting(
        "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "Hub id of the base that answers alone when no adapter can be used"
    )
    base_revision: str = _setting("", "commit sha, tag or branch of that base; empty: resolved once at start")
    max_question_chars: int = _setting(4000, "longest question accepted, in characters", 1, 100_000)
    max_prompt_tokens: int = _setting(1024, "longest prompt given to the model, history included", 64, 32_768)
    max_new_tokens: int = _setting(512, "longest answer that can be asked for, in tokens", 1, 8192)
    default_new_tokens: int = _setting(160, "answer length when none is asked for, in tokens", 1, 8192)
    max_turns: int = _setting(20, "most earlier turns of a conversation that are accepted", 1, 1000)
    deadline_s: float = _setting(120.0, "wall-clock limit of one answer, in seconds", 1.0, 3600.0)
    queue_size: int = _setting(8, "visitors that may wait for a model; further ones are told to come back", 1, 1000)
    questions_per_minute: int = _setting(
        30, "questions that one visitor, told by network address, may ask within a minute", 1, 100_000
    )
    hub_timeout_s: float = _setting(10.0, "wait for the first byte of each Hub request at start, in s", 0.1, 600.0)
    inference_url: str = _setting(
        "", "address of an OpenAI-compatible server that answers in place of a model loaded here; empty: none"
    )
    inference_token: str = _setting("", "key that this server asks for; a secret. HF_TOKEN is not sent", secret=True)

    def __post_init__(self):
        for f in fields(self):
            value, low, high = getattr(self, f.name), f.metadata["minimum"], f.metadata["maximum"]
            if low is not None and not (math.isfinite(value) and low <= value <= high):
                raise UserError(f"{PREFIX}{f.name.upper()} is {value}; set it to a number from {low} to {high}.")
        if len(self.beside) > MOST_BESIDE:
            raise UserError(f"{PREFIX}BESIDE_REPOS names {len(self.beside)} adapters; name {MOST_BESIDE} at most.")
        if self.inference_url and not _is_web_address(self.inference_url):
            raise UserError(f"{PREFIX}INFERENCE_URL is no web address; set it to one such as http://127.0.0.1:8000.")

    @property
    def beside(self) -> list[str]:
        """Each further adapter as REPOSITORY or REPOSITORY@REVISION; one named twice counts once."""
        return list(dict.fromkeys(self.beside_repos.split()))


def _is_web_address(text: str) -> bool:
    """With a host and without a password, which would end up in logs."""
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and "@" not in url.netloc
    except ValueError:  # a port that is no number, brackets that do not match
        return False


def from_environment(environment=os.environ) -> Settings:
    """Settings with each KIRA_* variable applied.

    Raises UserError for a value of the wrong type or out of range, and for an unknown KIRA_SETTING-like name
    nothing: other programs own KIRA_* variables too (KIRA_DATA is the tests').
    """
    values = {}
    for f in fields(Settings):
        text = environment.get(PREFIX + f.name.upper())
        if text is None:
            continue
        try:
            values[f.name] = f.type(text)
        except ValueError:
            raise UserError(f"{PREFIX}{f.name.upper()} is {text!r}; it takes a {f.type.__name__}.") from None
    return Settings(**values)


@cache
def settings() -> Settings:
    """The process's settings, read on first use."""
    return from_environment()
