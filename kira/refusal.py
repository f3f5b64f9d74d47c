"""Requests that Gradio's routes cannot make sense of: one sentence and a 4xx, where Gradio alone answers 500."""

from fastapi.exceptions import RequestValidationError
from gradio.route_utils import FnIndexInferError
from starlette.responses import JSONResponse

SENTENCE = "This request makes no sense here; /gradio_api/openapi.json tells what each endpoint takes."


def _refuse(status):
    def handler(request, error):
        return JSONResponse({"detail": SENTENCE}, status)

    return handler


# An endpoint, function or parameter that is not there, one too few or of another type, broken characters: what Gradio
# lets escape before a call is in its queue. FastAPI's own handler repeats the input, which NaN and half a surrogate
# pair make impossible.
HANDLERS = {RequestValidationError: _refuse(422), FnIndexInferError: _refuse(404), LookupError: _refuse(404),
            TypeError: _refuse(400), ValueError: _refuse(400)}
