"""Large files: the Git LFS batch protocol, with uploads in one piece or in parts, to URLs signed by this Hub.

The clients send no token to those URLs (the real ones lead to a cloud store), so the signature is the permission.
"""

import hashlib
import hmac

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from localhub.call import Call
from localhub.errors import EntryNotFound, Forbidden, Invalid
from localhub.objects import CHUNK_BYTES, Assembly, sha256_of
from localhub.repo import Repo
from localhub.store import Store

PART_BYTES = 16 << 20
MULTIPART_FROM_BYTES = 32 << 20


def _signature(store: Store, oid: str, size: int) -> str:
    return hmac.new(store.signing_key, f"{oid} {size}".encode(), "sha256").hexdigest()


def _url(call: Call, oid: str, size: int) -> str:
    return f"{call.endpoint}/_lfs/{oid}?size={size}&signature={_signature(call.store, oid, size)}"


def batch(call: Call, repo: Repo) -> JSONResponse:
    body = call.json()
    if body.get("operation") != "upload":
        raise Invalid("Only uploads go through the LFS endpoint of this Hub; downloads go through resolve")
    multipart = "multipart" in str(body.get("transfers"))
    objects = []
    for wanted in call.objects("objects"):
        oid, size = wanted.get("oid"), wanted.get("size")
        if not isinstance(oid, str) or not isinstance(size, int) or size < 0:
            raise Invalid("An LFS object needs oid and size")
        answer = {"oid": oid, "size": size}
        if call.store.large.size(oid) is None:  # no actions: already there
            url = _url(call, oid, size)
            header = {}
            if multipart and size >= MULTIPART_FROM_BYTES:
                parts = -(-size // PART_BYTES)
                header = {"chunk_size": str(PART_BYTES), **{str(n): f"{url}&part={n}" for n in range(1, parts + 1)}}
            answer["actions"] = {"upload": {"href": url, "header": header}, "verify": {"href": f"{url}&verify=1"}}
        objects.append(answer)
    return JSONResponse({"transfer": "basic", "objects": objects}, media_type="application/vnd.git-lfs+json")


def _signed_size(store: Store, request: Request, oid: str) -> int:
    size = request.query_params.get("size", "")
    store.large.path(oid)
    if not size.isdigit() or not hmac.compare_digest(
        request.query_params.get("signature", "").encode(), _signature(store, oid, int(size)).encode()
    ):
        raise Forbidden("This upload address was not given out by this Hub")
    return int(size)


async def pieces(request: Request):
    """The body in pieces worth a trip to another thread."""
    piece = bytearray()
    async for data in request.stream():
        piece += data
        if len(piece) >= CHUNK_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


async def transfer(store: Store, request: Request, oid: str) -> Response:
    """PUT of a whole object or of a part; POST to complete the parts or to verify."""
    size = _signed_size(store, request, oid)
    if request.method == "PUT":
        part = request.query_params.get("part", "")
        if part.isdigit():
            return await _put_part(store, request, oid, size, int(part))
        return await _put(store, request, oid, size)
    if request.query_params.get("verify"):
        if await run_in_threadpool(store.large.size, oid) != size:
            raise EntryNotFound(f"The LFS object {oid} did not arrive")
    else:
        await run_in_threadpool(_complete, store, oid, size)
    return JSONResponse({})


async def _put(store: Store, request: Request, oid: str, size: int) -> Response:
    digest, position = hashlib.sha256(), 0
    with store.scratch.file() as path:
        whole = Assembly(path, size, max(size, 1))
        async for piece in pieces(request):
            if position + len(piece) > size:
                raise Invalid(f"The upload of {oid} is longer than the {size} bytes announced")
            await run_in_threadpool(_write_and_hash, whole, position, piece, digest)
            position += len(piece)
        await run_in_threadpool(store.large.accept, path, oid, digest.hexdigest())
    return JSONResponse({})


def _write_and_hash(whole: Assembly, position: int, piece: bytes, digest) -> None:
    whole.write(position, piece)
    digest.update(piece)


def _assembly(store: Store, oid: str, size: int) -> Assembly:
    return Assembly(store.scratch.folder / f"{oid}-{size}", size, PART_BYTES)


async def _put_part(store: Store, request: Request, oid: str, size: int, part: int) -> Response:
    assembly = _assembly(store, oid, size)
    start, room, digest = assembly.offset(part), assembly.expected(part), hashlib.sha256()
    position = 0
    async for piece in pieces(request):
        if position + len(piece) > room:
            raise Invalid(f"Part {part} is longer than {room} bytes")
        await run_in_threadpool(assembly.write, start + position, piece)
        digest.update(piece)
        position += len(piece)
    if position != room:
        raise Invalid(f"Part {part} has {position} bytes instead of {room}")
    return Response(headers={"ETag": f'"{digest.hexdigest()}"'})


def _complete(store: Store, oid: str, size: int) -> None:
    assembly = _assembly(store, oid, size)
    try:
        store.large.accept(assembly.path, oid, sha256_of(assembly.path))
    finally:
        assembly.path.unlink(missing_ok=True)
