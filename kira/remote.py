"""Answers from an OpenAI-compatible server: vLLM, TGI, an Inference Endpoint, `transformers serve`.

The same promises as kira/engine.py, with no weights in this process. The server renders the chat template itself, so it
is sent text that holds no control token. It is asked for base and adapters by their repository ids; which revision it
has loaded, it alone knows.
"""

import asyncio
import json
import logging
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import dataclass

import httpx2
from huggingface_hub import AsyncInferenceClient
from huggingface_hub.errors import HfHubHTTPError
from transformers import AutoTokenizer

from kira.artifacts import Source
from kira.engine import INTERVAL_S
from kira.errors import UserError
from kira.prompt import break_control_tokens, encode_plainly, require_chat_template, trim_history
from kira.settings import Settings
from kira.step import Step

SILENT_S = 1.0  # a stopped answer can be closed only between two steps, so they come even while the server is silent
MOST_TOP_P = 0.9999  # TGI refuses 1
STATUS = {
    400: "refused the request; please shorten the question or the answer",
    401: "refuses access; set KIRA_INFERENCE_TOKEN to a key that it accepts",
    404: "does not know the model {model}; serve it under that name or correct KIRA_INFERENCE_URL",
    429: "is busy; please ask again in a minute",
    500: "failed; please ask again, and if that does not help look at its log",
}
SAME = {403: 401, 413: 400, 422: 400, 503: 429}


@dataclass
class _Row:
    """One answer as far as it has come; `tokens` as the server counts them, pieces until it tells."""

    model: str
    text: str = ""
    tokens: int = 0
    first: float = 0.0  # time.monotonic() of the first piece
    ended: str = ""

    def add(self, piece) -> None:
        for choice in piece.choices:
            if choice.delta.content:
                self.first = self.first or time.monotonic()
                self.text += choice.delta.content
                self.tokens += 1
            if choice.finish_reason:
                self.ended = "length" if choice.finish_reason == "length" else "stop"
        if piece.usage:
            self.tokens = piece.usage.completion_tokens


class RemoteEngine:
    """Base and `adapters` behind `settings.inference_url`, the first of which answers; none: the base alone.

    Raises UserError for a tokenizer that cannot be loaded, and for a second adapter that the server does not list.
    Whether it answers for the others shows at the first question.
    """

    def __init__(self, base: Source, adapters: list[Source], settings: Settings):
        self._url, self.max_prompt_tokens = settings.inference_url, settings.max_prompt_tokens
        # Without a header of its own the client sends HF_TOKEN, whoever the server is; None leaves the header out.
        token = settings.inference_token
        self._headers = {"authorization": f"Bearer {token}" if token else None}
        self._models, self.adapters = [source.repo for source in (base, *adapters)], len(adapters)
        try:
            self.tokenizer = AutoTokenizer.from_pretrained((adapters or [base])[0].folder)
            config = json.loads((base.folder / "config.json").read_text("utf-8"))
        except Exception as error:  # OSError, ValueError, ...: each names files, none a remedy
            raise UserError(f"The tokenizer could not be loaded ({type(error).__name__}).") from error
        require_chat_template(self.tokenizer)
        for adapter in adapters[1:]:
            self._require_listed(adapter.repo, settings.hub_timeout_s)
        longest = settings.max_prompt_tokens + settings.max_new_tokens
        self.positions = min(longest, config.get("max_position_embeddings") or longest)
        # An event loop of its own: closing an answer ends its request at once, even one that the server leaves waiting.
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def _require_listed(self, model: str, timeout_s: float) -> None:
        url = self._url.rstrip("/").removesuffix("/v1") + "/v1/models"
        headers = {name: value for name, value in self._headers.items() if value}
        try:
            listed = httpx2.get(url, headers=headers, timeout=timeout_s).raise_for_status().json()["data"]
            found = any(entry["id"] == model for entry in listed)
        except Exception as error:  # anything may come from a server
            raise UserError("The inference server does not tell which models it serves.") from error
        if not found:
            raise UserError(f"The inference server does not list the model {model}.")

    def stream(self, messages: list[dict], models: list[int] | None = None, *, max_new_tokens, temperature, top_p, seed,
               deadline_s):
        """Steps of the answers of `models`, asked for at once: 0 the base, 1 the first adapter, ...; None: the first
        adapter's, or the base's where there is none.

        Greedy at temperature 0, else sampled with `seed`; at most 20 steps a second, the last one with `ended` set.
        Closing the generator closes the connections, by which the server knows to stop. Raises UserError for a prompt
        that is too long, a server that fails, and one that has said nothing when the deadline comes.
        """
        max_new_tokens = min(max_new_tokens, self.positions // 2)
        messages, forgotten = self._fitting(messages, min(self.max_prompt_tokens, self.positions - max_new_tokens))
        request = {"messages": messages, "max_tokens": max_new_tokens, "temperature": temperature, "stream": True,
                   "stream_options": {"include_usage": True}}
        if temperature:
            request |= {"top_p": min(top_p, MOST_TOP_P), "seed": seed}
        asked = [min(self.adapters, 1)] if models is None else models
        rows = [_Row(self._models[model]) for model in asked]
        started = shown = time.monotonic()
        seen = 0

        def step(ended=""):
            first = min((row.first for row in rows if row.first), default=started)
            texts = [row.text.strip() if ended else row.text.strip().rstrip("\ufffd") for row in rows]
            return Step(texts, [row.tokens for row in rows], forgotten, first - started, time.monotonic() - started,
                        ended)

        reads = [asyncio.run_coroutine_threadsafe(self._read(row, request), self._loop) for row in rows]
        try:
            while True:
                left_s = max(started + deadline_s - time.monotonic(), 0.0)
                running = wait(reads, min(INTERVAL_S, left_s), FIRST_EXCEPTION).not_done
                for read in reads:
                    if read.done():
                        read.result()
                if not running or not left_s:
                    break
                made, now = sum(row.tokens for row in rows), time.monotonic()
                if now - shown >= (INTERVAL_S if made > seen else SILENT_S):
                    yield step()
                    seen, shown = made, now
            if running and not any(row.text for row in rows):
                raise UserError(f"The inference server said nothing within {deadline_s:.0f} s; please ask again later.")
            lengths = any(row.ended == "length" for row in rows)
            yield step("deadline" if running else "length" if lengths else "stop")
        finally:
            for read in reads:
                read.cancel()

    def _fitting(self, messages, max_tokens) -> tuple[list[dict], int]:
        """Messages that fit, without control tokens, and how many turns had to be forgotten. Raises UserError."""
        messages = [turn | {"content": break_control_tokens(self.tokenizer, turn["content"])} for turn in messages]
        ids, forgotten = trim_history(self.tokenizer, messages, max_tokens)
        messages = [messages[0], *messages[1 + forgotten:]]
        if encode_plainly(self.tokenizer, messages) != ids:
            raise UserError("The question holds signs that only the model itself may use; please ask without them.")
        return messages, forgotten

    async def _read(self, row: _Row, request: dict) -> None:
        """Fills `row` until its answer ends. Raises UserError."""
        try:
            async with AsyncInferenceClient(base_url=self._url, headers=self._headers) as client:
                async for piece in await client.chat_completion(model=row.model, **request):
                    row.add(piece)
        except Exception as error:  # anything may come from a server; its words may repeat the question
            raise _told(error, row) from None
        if not row.ended:
            raise _cut_off(row)


def _told(error: Exception, row: _Row) -> UserError:
    """What a failed request means, in one sentence, its kind noted in the log."""
    # At a 422 without a length the client itself fails while it words the error.
    refused = next((e for e in (error, error.__context__) if isinstance(e, HfHubHTTPError)), None)
    status = refused.response.status_code if refused else 0
    logging.getLogger("kira").warning("inference server: %s, status %s", type(error).__name__, status or "none")
    if status:
        meaning = STATUS.get(SAME.get(status, status)) or STATUS[500 if status >= 500 else 400]
        return UserError(f"The inference server {meaning.format(model=row.model)} (status {status}).")
    if isinstance(error, httpx2.ConnectError):
        return UserError("The inference server cannot be reached; start it or correct KIRA_INFERENCE_URL.")
    return _cut_off(row)


def _cut_off(row: _Row) -> UserError:
    if row.text:
        return UserError("The inference server broke off its answer; please ask again.")
    return UserError("The inference server gave no answer that could be read; check KIRA_INFERENCE_URL and its log.")
