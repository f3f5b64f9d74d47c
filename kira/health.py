"""/health: whether the model makes tokens now. A page that answers proves nothing about the model behind it."""

import threading
import time

from starlette.responses import JSONResponse
from starlette.routing import Route

from kira.errors import UserError
from kira.prompt import build_messages
from kira.service import ON_ZEROGPU, service

PATIENCE_S = 10.0
FRESH_S = 2.0  # a token so young, whoever it was for, needs no other: nobody can keep the model busy from here

_asking = threading.Lock()


def health(request) -> JSONResponse:
    """200 if a token came within PATIENCE_S, for a visitor or for the one that is asked for here; else 503.

    {"status": "ok" or a sentence that says why not, "token_age_s": seconds since the last token or null}. On ZeroGPU
    none is asked for, as it would be of some visitor's GPU time: there 200 says that the model is loaded, and the age
    is all that is known.
    """
    reason = _reason()
    age = service.token_age_s()
    if not reason and not ON_ZEROGPU and (age is None or age > PATIENCE_S):
        reason = f"The model made no token within {PATIENCE_S:.0f} s."
    return JSONResponse({"status": reason or "ok", "token_age_s": None if age is None else round(age, 3)},
                        503 if reason else 200)


def _reason() -> str:
    """What speaks against the model; empty after a token that was asked for, and while another request asks for one."""
    if not service.ready.is_set():
        return "Kira is being loaded."
    if service.engine is None:
        return service.notice
    age = service.token_age_s()
    if ON_ZEROGPU or (age is not None and age <= FRESH_S) or not _asking.acquire(blocking=False):
        return ""
    try:
        *_, step = service.engine.stream(build_messages("heart"), max_new_tokens=1, temperature=0.0, top_p=1.0, seed=0,
                                         deadline_s=PATIENCE_S)
        if step.ended != "deadline":
            service.token_at = time.monotonic()
        return ""
    except UserError as error:
        return str(error)
    except Exception as error:
        return f"The model failed ({type(error).__name__})."
    finally:
        _asking.release()


ROUTE = Route("/health", health)
