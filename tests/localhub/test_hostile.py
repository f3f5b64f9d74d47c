"""Requests that no client sends."""

import hashlib
import http.client
import json
import os

import pytest
from hub import bearer
from playwright.sync_api import sync_playwright

CARD = b"""---
license: mit
title: <script>alert('front matter')</script>
---
# Card <script>document.title = 'run'</script>
<img src=x onerror="document.title='run'"> [click](javascript:document.title='run') <!-- hidden -->
![plot](plots/loss.png) [notes](notes.txt) ![pixel](https://example.com/pixel.png)

````text
```
quoted <!-- here
````
between
```
there --> quoted
```
<!-- hidden
too --> after
"""
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f6"
    "45400000000049454e44ae426082"
)


def raw(hub, method: str, path: str, body: bytes = b"", **headers: str) -> http.client.HTTPResponse:
    """Without a client's own cleaning of the path."""
    connection = http.client.HTTPConnection(hub.endpoint.removeprefix("http://"))
    connection.request(method, path, body, headers)
    return connection.getresponse()


@pytest.mark.parametrize("path", [
    "/../../etc/passwd", "/kira/../tokens.json", "/%2e%2e/%2e%2e/etc/passwd", "/kira/..%2f..%2ftokens.json",
    "/kira/REPO/resolve/main/../../../../tokens.json", "/kira/REPO/resolve/main/..%2f..%2f..%2frepo.json",
    "/kira/REPO/resolve/..%2f..%2frepo.json/x", "/api/models/kira/REPO/tree/main/..%2f..",
    "/api/models/kira/REPO/tree/%2e%2e%2frepo.json", "/api/models/kira/REPO/revision/..%2frepo.json",
    "/api/models/..%2f..%2fkira/REPO", "/kira/REPO/blob/main/..%2frepo.json", "/_static/../server.py",
    "/_static/..%2fserver.py", "/kira/REPO/resolve/main/%00", "//etc/passwd", "/_lfs/..%2f..%2ftokens.json?size=1",
    "/api/models/kira/REPO/discussions/..%2frepo",
])
def test_no_path_leads_out(hub, repo_id, path):
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        answer = raw(hub, method, path.replace("REPO", repo_id.split("/")[1]))
        text = answer.read().decode("utf-8", "replace")
        assert answer.status in (307, 400, 401, 403, 404, 405), (method, answer.status, text)
        assert '"role"' not in text and "root:" not in text  # neither tokens.json nor /etc/passwd


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"\xff", b'{"files": 3}', b'{"files": [{}]}', b'{"files": [{"path": "a", "size": "x"}]}',
    b'{"objects": [3], "operation": "upload"}', b'{"operation": "upload", "objects": [{"oid": "x", "size": 1}]}',
    b'{"name": 3, "tag": 3, "fromRepo": 3}',
])
def test_bodies_that_make_no_sense(hub, repo_id, body):
    for method, path in (
        ("POST", f"/api/models/{repo_id}/preupload/main"), ("POST", f"/api/models/{repo_id}/commit/main"),
        ("POST", f"/{repo_id}.git/info/lfs/objects/batch"), ("POST", "/api/repos/create"),
        ("DELETE", "/api/repos/delete"), ("POST", "/api/repos/move"), ("POST", f"/api/models/{repo_id}/tag/main"),
    ):
        answer = hub.http.request(method, path, content=body, headers=bearer())
        assert 400 <= answer.status_code < 500 or answer.json() in ({"files": []}, []), (path, answer.text)
        assert isinstance(answer.json(), dict)


def test_validate_yaml_always_answers_json(hub):
    for content in ("", "---\n: :\n---\n", "---\na: !!python/object:os.system x\n---\n", "x" * 100_000):
        answer = hub.http.post("/api/validate-yaml", json={"content": content, "repoType": "model"})
        assert answer.status_code in (200, 400) and set(answer.json()) == {"errors", "warnings"}


def test_uploads_need_our_signature_and_the_right_bytes(hub, repo_id):
    data = os.urandom(1000)
    oid = hashlib.sha256(data).hexdigest()
    body = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": 1000}]}
    batch = hub.http.post(f"/{repo_id}.git/info/lfs/objects/batch", json=body, headers=bearer()).json()
    url = batch["objects"][0]["actions"]["upload"]["href"]
    stored = hub.root / "lfs" / oid[:2] / oid
    for wrong, content, status in (
        (url.replace("signature=", "signature=0"), data, 403), (url.replace("size=1000", "size=1001"), data, 403),
        (url.replace(oid, "0" * 64), data, 403), (url, data[:-1] + b"!", 400), (url, data[:-1], 400),
        (url, data + b"more", 400),
    ):
        answer = hub.http.put(wrong, content=content)
        assert answer.status_code in (status, 400) and not stored.exists(), wrong
    assert hub.http.put(url, content=data).status_code == 200
    assert stored.read_bytes() == data


def test_reader_gets_no_upload_address(hub, repo_id):
    body = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": "0" * 64, "size": 1}]}
    for headers, status in (({}, 401), (bearer("local-read"), 403)):
        assert hub.http.post(f"/{repo_id}.git/info/lfs/objects/batch", json=body, headers=headers).status_code == status


def test_card_cannot_run_anything(hub, api, repo_id):
    for path, data in (("README.md", CARD), ("plots/loss.png", PNG), ("notes.txt", b"notes <b>"),
                       ("page.html", b"<script>document.title='run'</script>"),
                       ("picture.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>document.title='run'</script></svg>")):
        api.upload_file(path_or_fileobj=data, path_in_repo=path, repo_id=repo_id)
    page = hub.http.get(f"/{repo_id}")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script" not in policy and "style-src 'self'" in policy
    assert "<script" not in page.text and "onerror=" not in page.text.replace("onerror=&quot;", "")
    for shown in ("quoted &lt;!-- here", "<p>between</p>", "there --&gt; quoted", "after"):
        assert shown in page.text
    assert "hidden" not in page.text and "javascript:" not in page.text.split("href=")[0]
    direct = hub.http.get(f"/{repo_id}/resolve/main/page.html").headers
    assert direct["content-type"] == "application/octet-stream" and "sandbox" in direct["content-security-policy"]
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        view, elsewhere = browser.new_page(viewport={"width": 390, "height": 800}), []
        view.on("response", lambda r: None if r.url.startswith((hub.endpoint, "data:")) else elsewhere.append(r.url))
        for path in ("", "/tree/main", "/tree/main/plots", "/blob/main/notes.txt", "/blob/main/page.html",
                     "/resolve/main/picture.svg", "/commits/main", "/commit/main", "/blob/main/plots/loss.png"):
            assert view.goto(f"{hub.endpoint}/{repo_id}{path}").status == 200, path
            assert view.title() != "run"
            assert view.evaluate("document.documentElement.scrollWidth") <= 390, path
            assert view.locator("script").count() == 0 or path.endswith(".svg")
        view.goto(f"{hub.endpoint}/{repo_id}")
        assert view.locator("img[alt=plot]").evaluate("image => image.naturalWidth") == 1
        view.get_by_role("link", name="notes", exact=True).click()
        assert "notes <b>" in view.locator("pre").inner_text()
        assert elsewhere == []
        browser.close()


def test_front_page_lists_and_escapes(hub, api, repo_id):
    api.upload_file(path_or_fileobj=b"---\ntags: ['<i>tag</i>']\n---\n", path_in_repo="README.md", repo_id=repo_id)
    page = hub.http.get("/")
    assert f'href="/{repo_id}"' in page.text and "&lt;i&gt;tag" in page.text


def test_log_lines_are_json(hub):
    hub.http.get("/api/models", headers={"User-Agent": 'quote " and \\ in it'})
    assert json.loads(hub.log.read_text().splitlines()[-1])["user_agent"] == 'quote " and \\ in it'
