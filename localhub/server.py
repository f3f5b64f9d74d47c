"""The HTTP server: reads a request, has it answered, and turns errors into what the clients expect."""

import json
import os
import secrets
import sys
import time
import traceback
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import unquote

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localhub import lfs, sign_in
from localhub.call import Call
from localhub.durable import room_on_disk
from localhub.errors import HubError, Invalid
from localhub.routes import answer
from localhub.store import Store
from localhub.tokens import Tokens

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
BODY_BYTES = 64 << 20  # of requests that are read into memory; commits and LFS objects go to disk


def error_response(error: HubError) -> JSONResponse:
    message = error.message.encode("ascii", "replace").decode()
    headers = {"X-Error-Message": "".join(c if c.isprintable() else " " for c in message), **error.headers}
    if error.code:
        headers["X-Error-Code"] = error.code
    return JSONResponse({"error": error.message, **error.details}, error.status, headers)


def segments(request: Request) -> list[str]:
    raw = request.scope["raw_path"].decode("ascii", "replace").split("?")[0]
    return [unquote(part) for part in raw.strip("/").split("/")]


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for data in request.stream():
        body += data
        if len(body) > BODY_BYTES:
            raise Invalid("The body of this request is too long")
    return bytes(body)


async def _spool(request: Request, path: Path) -> None:
    with path.open("wb") as file, room_on_disk():
        async for piece in lfs.pieces(request):
            await run_in_threadpool(file.write, piece)


class Hub:
    def __init__(self, root: Path):
        self.store = Store(root)
        self.tokens = Tokens(self.store.root / "tokens.json", self.store.scratch)
        self.sign_in = sign_in.SignIn(self.tokens)
        self.app = Starlette(routes=[Route("/{path:path}", self.respond, methods=METHODS)])

    async def respond(self, request: Request) -> Response:
        response = await self._answer_or_error(request)
        asked = request.headers
        # The clients send an id of their own and print the one that comes back beside an error.
        response.headers["X-Request-Id"] = (
            asked.get("x-request-id") or asked.get("x-amzn-trace-id") or f"Root=1-{secrets.token_hex(8)}"
        )
        return response

    async def _answer_or_error(self, request: Request) -> Response:
        try:
            return await self._respond(request)
        except HubError as error:
            return error_response(error)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return error_response(ServerError("This Hub made a mistake; its output tells which."))

    async def _respond(self, request: Request) -> Response:
        parts = segments(request)
        if parts[0] == "_lfs" and len(parts) == 2 and request.method in ("PUT", "POST"):
            return await lfs.transfer(self.store, request, parts[1])
        authorization, endpoint = request.headers.get("authorization"), str(request.base_url).rstrip("/")
        if parts[0] in sign_in.PATHS:
            call = Call(self.store, None, request.method, endpoint, parts, request.query_params, await _read(request))
            return await run_in_threadpool(self.sign_in.answer, call, authorization)
        user = await run_in_threadpool(self.tokens.user, authorization)
        call = Call(self.store, user, request.method, endpoint, parts, request.query_params)
        async with AsyncExitStack() as stack:
            if request.method == "POST" and parts[0] == "api" and parts[4:5] == ["commit"]:
                call.upload = stack.enter_context(self.store.scratch.file())
                await _spool(request, call.upload)
            else:
                call.body = await _read(request)
            return await run_in_threadpool(answer, call)


class ServerError(HubError):
    status = 500


class RequestLog:
    """One line of JSON per answered request, whole lines also when several servers share the file."""

    def __init__(self, app, path: Path):
        self.app = app
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        line = {
            "time": time.time(), "method": scope["method"], "path": scope["raw_path"].decode("latin-1"),
            "query": scope["query_string"].decode("latin-1"), "status": None, "user_agent": headers.get("user-agent"),
            "range": headers.get("range"),
        }

        async def noting_send(message):
            if message["type"] == "http.response.start":
                line["status"] = message["status"]
                os.write(self.descriptor, json.dumps(line).encode() + b"\n")
            await send(message)

        await self.app(scope, receive, noting_send)


def make_server(root: Path, log: Path | None = None) -> uvicorn.Server:
    app = Hub(root).app
    if log:
        app = RequestLog(app, log)
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=3)
    return uvicorn.Server(config)
