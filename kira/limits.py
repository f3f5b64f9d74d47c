"""What may reach the model: one check for the page and for programs, and a log that repeats nothing a person typed.

Gradio's own validators and component limits do not hold for calls by API, so every public function starts here.
"""

import hashlib
import ipaddress
import logging
import math
import os
import re
import threading
import time
import traceback
import unicodedata
from pathlib import Path
from types import SimpleNamespace

from kira.errors import UserError
from kira.prompt import ROLES
from kira.settings import Settings

VISITORS = 8  # answered at the same time, by every model; further ones wait in Gradio's queue and see their place
MOST_SIDE_BY_SIDE = 3  # answers to one question: more cannot be read, nor held for every visitor at once
MAX_TEMPERATURE = 2.0
MAX_SEED = 2**32 - 1
CHARS_PER_TOKEN = 16  # no tokenizer in use makes longer tokens, so no answer of ours is refused as history
FILLERS = "\u115f\u1160\u2800\u3164\uffa0"  # letters by category, yet drawn as nothing


def checked_question(question, settings: Settings) -> str:
    """The question without surrounding space. Raises UserError."""
    if not isinstance(question, str):
        raise UserError("The question must be text.")
    if len(question) > settings.max_question_chars:
        raise UserError(
            f"The question is {len(question)} characters long; please shorten it to {settings.max_question_chars}."
        )
    try:
        question.encode()
    except UnicodeEncodeError:
        raise UserError("The question holds broken characters; please type it again.") from None
    if _is_blank(question):
        raise UserError("Please type a question.")
    return question.strip()


def checked_history(history, settings: Settings) -> list[dict]:
    """Earlier turns as [{"role", "content": str}], oldest first; turns without text are left out. Raises UserError."""
    if history is None:
        return []
    if not isinstance(history, list) or not all(isinstance(turn, dict) for turn in history):
        raise UserError('The history must be a list of turns such as {"role": "user", "content": "..."}.')
    if len(history) > settings.max_turns:
        raise UserError(f"The history has {len(history)} turns; please send the last {settings.max_turns} at most.")
    turns = []
    for turn in history:
        if turn.get("role") not in ROLES:
            raise UserError("A turn of the history must have the role user or assistant.")
        longest = settings.max_question_chars
        if turn["role"] == "assistant":
            longest = max(longest, settings.max_new_tokens * CHARS_PER_TOKEN)
        text = text_of(turn.get("content"))
        if len(text) > longest:
            raise UserError(f"A turn of the history is longer than {longest} characters.")
        if not _is_blank(text):
            turns.append({"role": turn["role"], "content": text})
    return turns


def checked_sampling(max_new_tokens, temperature, top_p, seed, settings: Settings) -> dict:
    """The four as numbers in range, ready to be passed on by name. Raises UserError."""
    return {
        "max_new_tokens": int(_number("max_new_tokens", max_new_tokens, 1, settings.max_new_tokens, whole=True)),
        "temperature": float(_number("temperature", temperature, 0, MAX_TEMPERATURE)),
        "top_p": float(_number("top_p", top_p, 0, 1, above=True)),
        "seed": int(_number("seed", seed, 0, MAX_SEED, whole=True)),
    }


def checked_runs(runs) -> list[str]:
    """Names of the fine-tuned models to compare with the base, each once. Raises UserError."""
    most = MOST_SIDE_BY_SIDE - 1
    if not isinstance(runs, list) or not all(isinstance(run, str) for run in runs):
        raise UserError("A fine-tuned model to compare with the base must be named by text.")
    if not 1 <= len(set(runs)) <= most:
        raise UserError(f"Please choose from one to {most} fine-tuned models to compare with the base.")
    return list(dict.fromkeys(runs))


class Rate:
    """Counts each visitor's questions of the last minute, in memory only, under a hash that ends with the process."""

    def __init__(self, most: int):
        self._most, self._key, self._lock = most, os.urandom(32), threading.Lock()
        self._asked = {}  # times of a visitor's questions, oldest first; the visitor who asked last stands last

    def count(self, visitor: str) -> None:
        """One more question of `visitor`. Raises UserError once there were `most` within a minute."""
        now, key = time.monotonic(), hashlib.blake2b(visitor.encode(), key=self._key).digest()
        with self._lock:
            while self._asked and next(iter(self._asked.values()))[-1] <= now - 60:
                del self._asked[next(iter(self._asked))]
            times = [asked for asked in self._asked.get(key, ()) if asked > now - 60]
            if len(times) < self._most:
                self._asked.pop(key, None)
                self._asked[key] = [*times, now]
                return
        raise UserError(f"You asked {self._most} questions within a minute, which is the limit; "
                        f"please wait {math.ceil(times[0] + 60 - now)} seconds.")


def visitor_of(request) -> str:
    """The network address that a request (Gradio's or Starlette's) came from; of IPv6 the /64, which is one customer's.

    On a Space the Hub's proxy has the connection and appends to X-Forwarded-For whom it speaks for: the last public
    address. What stands before, a visitor may have made up; elsewhere the whole header.
    """
    hops = [request.client.host if request.client else ""]
    if os.environ.get("SPACE_ID"):
        hops = [*hops, *request.headers.get("x-forwarded-for", "").split(",")]
    found = ""
    for hop in hops:
        try:
            address = ipaddress.ip_address(hop.strip())
        except ValueError:
            continue
        if address.is_global or not found:
            found = address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found and found.version == 6 else str(found)


def _number(name, value, low, high, whole=False, above=False):
    sound = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not sound or not low <= value <= high or (above and value == low) or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        span = f"above {low} and at most {high}" if above else f"from {low} to {high}"
        raise UserError(f"{name} must be {kind} {span}.")
    return value


def text_of(content) -> str:
    """The text of a turn: programs send a string, the page sends blocks of which some are text. Raises UserError."""
    if isinstance(content, list) and all(isinstance(block, dict) for block in content):
        parts = [block.get("text", "") for block in content if block.get("type") == "text"]
        content = "".join(parts) if all(isinstance(part, str) for part in parts) else None
    if not isinstance(content, str) or re.search("[\ud800-\udfff]", content):
        raise UserError("The content of a turn must be text.")
    return content


def _is_blank(text: str) -> bool:
    """Nothing to read: only white space, controls and what has no width (joiners, direction marks, fillers)."""
    return all(c.isspace() or unicodedata.category(c) in ("Cc", "Cf") or c in FILLERS for c in text)


def keep_typed_text_out_of_the_log() -> None:
    """From now on no traceback of Gradio and no line of the MCP server repeats a value that came with a request.

    Gradio prints the rejected value of a component verbatim ("... was: 'hot'"), the MCP server whole requests.
    """
    from gradio import queueing, route_utils, routes

    for module in (queueing, route_utils, routes):
        module.traceback = SimpleNamespace(print_exc=_log_where, format_exc=lambda: "")
    make = logging.getLogRecordFactory()

    def record(*args, **kwargs):
        made = make(*args, **kwargs)
        if made.exc_info and made.exc_info[1] is not None:
            made.msg, made.args, made.exc_info = _where(made.exc_info[1]), (), None
        elif {"gradio", "mcp"} & set(Path(made.pathname).parts) and "site-packages" in made.pathname:
            made.msg, made.args = f"{Path(made.pathname).name}:{made.lineno} (text left out)", ()
        return made

    logging.setLogRecordFactory(record)


def _log_where(*_, **__) -> None:
    import sys

    logging.getLogger("kira").warning(_where(sys.exc_info()[1]))


def _where(error: BaseException) -> str:
    """Type of an error and the places it passed, without its message."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return f"{type(error).__name__} at " + " < ".join(
        f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames)
    )
