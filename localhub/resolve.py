"""Downloads: a file of a repo at a revision."""

import mimetypes

from starlette.responses import FileResponse

from localhub.call import Call
from localhub.errors import EntryNotFound
from localhub.repo import Repo

# Anybody's file may be opened in a browser: it is never run, and only pictures are shown.
HARMLESS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}


def resolve(call: Call, repo: Repo, revision: str, path: str) -> FileResponse:
    call.downloadable(repo)
    sha = repo.resolve(revision)
    entry = repo.files(sha).get(path)
    if entry is None:
        # With the commit a client can remember that the file is not in it.
        raise EntryNotFound("Entry not found", {"X-Repo-Commit": sha})
    etag = f'"{entry.get("lfs") or entry["oid"]}"'
    headers = {"X-Repo-Commit": sha, "ETag": etag, **HARMLESS}
    location = repo.blob_path(entry["oid"])
    if "lfs" in entry:
        headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(entry["size"])}
        location = call.store.large.path(entry["lfs"])
    guessed = mimetypes.guess_type(path)[0] or ""
    media_type = guessed if guessed.startswith("image/") else "application/octet-stream"
    return FileResponse(location, headers=headers, media_type=media_type)
