"""Pages for people: what was published, read only. They see what the caller may see: in a browser, public repos."""

import mimetypes
import posixpath
import re
from pathlib import Path
from urllib.parse import quote, unquote

from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from starlette.responses import HTMLResponse, RedirectResponse, Response

from localhub.call import Call
from localhub.card import card_of
from localhub.errors import HubError, NotFound
from localhub.repo import URL_PREFIX, Repo
from localhub.repo_api import describe, list_folder

HERE = Path(__file__).parent
SHOWN_BYTES = 1 << 18
# No script and nothing from elsewhere, whatever a card or a file says.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
NOUNS = {"models": "model", "datasets": "dataset", "spaces": "Space", "kernels": "kernel"}
# A comment, or a code block, in which nothing is one: what a code block quotes must not hide what follows it.
CODE_OR_COMMENT = re.compile(r"(^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\2[`~]*\s*$|\Z))|<!--.*?-->", re.DOTALL | re.MULTILINE)


def _bytes(size: int) -> str:
    scale = next(power for power in (1, 1e3, 1e6, 1e9) if size < 1000 * power or power == 1e9)
    unit = {1: "B", 1e3: "kB", 1e6: "MB", 1e9: "GB"}[scale]
    return f"{size / scale:.{0 if scale == 1 or size >= 10 * scale else 1}f} {unit}"


templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True,
                        lstrip_blocks=True)
templates.filters |= {"bytes": _bytes, "day": lambda date: f"{date[:10]} {date[11:16]} UTC", "quoted": quote}
markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def _html(name: str, status: int = 200, **values) -> HTMLResponse:
    return HTMLResponse(templates.get_template(name).render(**values), status, HEADERS)


def page(call: Call, kind: str, parts: list[str]) -> Response:
    if call.segments == ["_static", "style.css"]:
        return Response((HERE / "templates" / "style.css").read_bytes(), headers=HEADERS, media_type="text/css")
    try:
        if call.segments in ([""], *([name] for name in URL_PREFIX)):
            return _index(call)
        if len(parts) < 2:
            raise NotFound("There is no such page")
        return _repo_page(call, call.readable(kind, "/".join(parts[:2])), parts)
    except HubError as error:
        return _html("error.html", error.status, message=error.message)


def _index(call: Call) -> Response:
    groups = []
    for kind in URL_PREFIX:
        infos = [describe(call, repo, tip) | {"path": repo.url_path} for repo, tip in call.visible(kind)]
        if infos or kind != "kernels":  # few know of them
            groups.append((NOUNS[kind], sorted(infos, key=lambda info: info["lastModified"], reverse=True)))
    return _html("index.html", groups=groups, endpoint=call.endpoint)


def _repo_page(call: Call, repo: Repo, parts: list[str]) -> Response:
    asked = "/".join(parts[:2])
    if asked != repo.id:  # renamed, or in another case
        return RedirectResponse(f"/{repo.url_path}", 307, HEADERS)
    view = parts[2] if len(parts) > 2 else "card"
    revision = parts[3] if len(parts) > 3 else "main"
    path = "/".join(parts[4:])
    sha = repo.resolve(revision)
    base = f"/{repo.url_path}"
    values = {
        "repo": repo, "noun": NOUNS[repo.kind], "base": base, "revision": revision, "sha": sha, "view": view,
        "at": quote(revision, safe=""), "path": path, "settings": repo.settings, "commit": repo.commit(sha),
        "refs": [ref.split("/", 2)[2] for ref in repo.refs() if not ref.startswith("refs/pr/")],
    }
    if view in ("card", "tree"):
        return _folder_page(call, repo, values)
    if view == "blob" and path:
        return _file_page(call, repo, values)
    if view == "commits":
        return _html("commits.html", **values, history=list(repo.history(sha)))
    if view == "commit":
        return _html("commit.html", **values, changes=_changes(repo, sha))
    raise NotFound("There is no such page")


def _folder_page(call: Call, repo: Repo, values: dict) -> Response:
    sha, path = values["sha"], values["path"].strip("/")
    items = list_folder(repo.files(sha), path)
    items.sort(key=lambda item: (item["type"] == "file", item["path"]))
    last = repo.last_commits(sha, {item["path"] for item in items})
    front, text = card_of(repo, sha) if values["view"] == "card" else ({}, "")
    body = _render_card(text, values["base"], sha)
    return _html("repo.html", **values, items=items, last=last, front=front, card=body)


def _file_page(call: Call, repo: Repo, values: dict) -> Response:
    entry = repo.files(values["sha"]).get(values["path"])
    if entry is None:
        raise NotFound(f"{values['path']} does not exist on this revision")
    call.downloadable(repo)
    picture = (mimetypes.guess_type(values["path"])[0] or "").startswith("image/")
    text = None
    if not picture and entry["size"] <= SHOWN_BYTES:
        location = call.store.large.path(entry["lfs"]) if "lfs" in entry else repo.blob_path(entry["oid"])
        data = location.read_bytes()
        text = None if b"\0" in data else data.decode("utf-8", "replace")
    return _html("file.html", **values, entry=entry, picture=picture, text=text)


def _changes(repo: Repo, sha: str) -> list[tuple[str, str]]:
    commit = repo.commit(sha)
    after, before = commit["files"], repo.files(commit["parent"]) if commit["parent"] else {}
    words = []
    for path in sorted(after.keys() | before.keys()):
        if after.get(path) != before.get(path):
            words.append(("deleted" if path not in after else "changed" if path in before else "added", path))
    return words


def _render_card(text: str, base: str, sha: str) -> str:
    """Markdown as HTML. HTML in it stays text; pictures and links that are relative lead into the repo."""
    tokens = markdown.parse(CODE_OR_COMMENT.sub(lambda found: found[1] or "", text))
    for token in (child for block in tokens for child in [block, *(block.children or [])]):
        for name, view in (("src", "resolve"), ("href", "blob")):
            target = token.attrGet(name)
            if isinstance(target, str) and not re.match(r"[a-z][a-z0-9+.-]*:|[/#]", target, re.IGNORECASE):
                inside = posixpath.normpath(unquote(target.partition("#")[0]))
                token.attrSet(name, f"{base}/{view}/{sha}/{quote(inside)}")
        if token.type == "link_open":
            token.attrSet("rel", "noreferrer nofollow")
    return markdown.renderer.render(tokens, markdown.options, {})
