"""Requests that Gradio's routes cannot make sense of get a sentence and a 4xx, where Gradio answers 500 or breaks off.

Also the size of a request, which Gradio reads whole into memory whatever it is.
"""

import logging

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import JSONResponse

from kira.limits import CHARS_PER_TOKEN
from kira.settings import settings

BUSY = ("Kira is answering as many people as it can; please ask again in a minute. "
        "In an emergency call your local emergency number (112, 911, 999) now.")
SENSELESS = "This request makes no sense here; /gradio_api/openapi.json tells what each endpoint takes."
TOO_LONG = "This request is longer than any question with its history may be."
CHAR_BYTES = 12  # of a character outside the basic plane, escaped in JSON as two surrogates


def most_bytes() -> int:
    """The longest body that can hold an acceptable question with its history, and some room for what is around it."""
    longest = max(settings().max_question_chars, settings().max_new_tokens * CHARS_PER_TOKEN)
    return CHAR_BYTES * longest * (settings().max_turns + 1) + 65_536


class Boundary:
    """ASGI middleware around everything: a body within `most_bytes`, and an answer to whatever goes wrong behind it.

    What escapes Gradio before a call is in its queue is the request's fault: an endpoint, function or parameter that is
    not there, one of another type, half a surrogate pair. A stream that has begun is ended properly.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, read = False, 0

        async def counted():
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most_bytes():
                raise ValueError(TOO_LONG)
            return message

        async def noticed(message):
            nonlocal started
            started = True
            await send(message)

        told = Headers(scope=scope).get("content-length", "")
        if told.isdigit() and int(told) > most_bytes():
            return await JSONResponse({"detail": TOO_LONG}, 413)(scope, receive, send)
        try:
            await self.app(scope, counted, noticed)
        except Exception:
            logging.getLogger("kira").warning("a request failed", exc_info=True)
            if started:
                await send({"type": "http.response.body", "body": b""})
            else:
                await JSONResponse({"detail": SENSELESS}, 400)(scope, receive, send)


def _refuse(status, sentence):
    def handler(request, error):
        return JSONResponse({"detail": sentence}, status)

    return handler


MIDDLEWARE = [Middleware(Boundary)]
# FastAPI's own handler of the first repeats the input, which NaN makes impossible. 503: the queue is full.
HANDLERS = {RequestValidationError: _refuse(422, SENSELESS), 503: _refuse(503, BUSY)}
