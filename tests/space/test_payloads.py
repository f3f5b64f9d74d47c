"""Markup and scripts, typed by a visitor and said by a model, in a real browser: shown as the text that they are."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from tests.space.conftest import Space, environment, wait_until

pytestmark = pytest.mark.slow
# A question for the model: else fixed words of scope would answer for some payloads.
ASKED = "What are the symptoms and causes of asthma, and how is asthma treated by a doctor?"
JS, AWAY = "window.taken=1;alert(1)", "http://outside.example/a.png"
PAYLOADS = [
    f"<script>{JS}</script>", f"<img src=x onerror={JS}>", f"<svg onload={JS}>", f"<svg><script>{JS}</script></svg>",
    f"<body onload={JS}>", f"<iframe src='javascript:{JS}'></iframe>", f"<iframe src='{AWAY}'></iframe>",
    f"<iframe srcdoc=\"<script>parent.{JS}</script>\"></iframe>", f"<a href='javascript:{JS}'>a</a>",
    f"[a](javascript:{JS})", f"[a](data:text/html,<script>{JS}</script>)", f"![a]({AWAY})", f"![a][b]\n\n[b]: {AWAY}",
    f"<img src='{AWAY}'>", f"<img srcset='{AWAY} 1x'>", f"<video src='{AWAY}' autoplay></video>",
    f"<audio src='{AWAY}' autoplay></audio>", f"<object data='{AWAY}'></object>", f"<embed src='{AWAY}'>",
    f"<link rel=stylesheet href='{AWAY}'>", f"<style>@import '{AWAY}';</style>",
    f"<style>body{{background:url({AWAY})}}</style>", f"<div style=\"background:url('{AWAY}')\">a</div>",
    f"<meta http-equiv=refresh content='0;url={AWAY}'>", f"<base href='{AWAY}'>",
    f"<form action='{AWAY}'><input autofocus onfocus={JS}></form>",
    f"<details open ontoggle={JS}>a</details>", f"<marquee onstart={JS}>a</marquee>",
    f"<math><mi xlink:href='javascript:{JS}'>a</mi></math>", f"<template><script>{JS}</script></template>",
    f"</textarea><script>{JS}</script>", f"</title></style></pre><img src=x onerror={JS}>",
    f"&lt;img src=x onerror={JS}&gt;", f"&#60;script&#62;{JS}&#60;/script&#62;", f"\\u003cscript\\u003e{JS}",
    f"<scr<script>ipt>{JS}</scr</script>ipt>", f"<img/src=x\tonerror\n=\n{JS}>", f"```html\n<script>{JS}</script>\n```",
    rf"$\href{{javascript:{JS}}}{{a}} \includegraphics{{{AWAY}}}$",
    f"{{{{constructor.constructor('{JS}')()}}}} <%= 1 %>",
]


class Echo(BaseHTTPRequestHandler):
    """A model, as its server shows it, that says what it was asked."""

    def do_POST(self):
        said = json.loads(self.rfile.read(int(self.headers["content-length"])))["messages"][-1]["content"]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for delta, ended in (({"role": "assistant", "content": said}, None), ({}, "stop")):
            piece = {"choices": [{"index": 0, "delta": delta, "finish_reason": ended}]}
            self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def space(hub, published, tmp_path_factory):
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as echo:
        threading.Thread(target=echo.serve_forever).start()
        running = Space(environment(hub, published.home, KIRA_INFERENCE_URL=f"http://127.0.0.1:{echo.server_port}"),
                        tmp_path_factory.mktemp("echo") / "log")
        try:
            wait_until(running.answers, "the page")
            yield running
        finally:
            running.stop()
            echo.shutdown()


def test_no_payload_is_more_than_text(visit, record_property):
    assert len(PAYLOADS) == len(set(PAYLOADS)) == 40
    seen, dialogs = visit(), []
    page = seen.page

    def dialog(opened):
        dialogs.append(opened.message)
        opened.dismiss()

    page.on("dialog", dialog)
    expect(page.get_by_text("fine-tuned from")).to_be_visible()
    elements = "document.querySelectorAll('script,iframe,object,embed,base,meta,link,style,svg,video,audio').length"
    before = page.evaluate(elements)
    shown = 0
    for number, payload in enumerate(PAYLOADS):
        mark = f"end {number}."
        seen.ask(f"{ASKED} {payload} {mark}")
        talk = page.get_by_label("chatbot conversation")
        expect(talk.get_by_text(mark)).to_have_count(2)  # asked and answered
        shown += 2
        page.wait_for_timeout(50)
        page.get_by_role("button", name="Clear", exact=True).click()
        expect(talk.get_by_text(mark)).to_have_count(0)
    seen.tab("Compare")
    for number, payload in enumerate(PAYLOADS):
        mark = f"end {number}."
        page.get_by_label("Question for every model").fill(f"{ASKED} {payload} {mark}")
        page.get_by_role("button", name="Compare", exact=True).click()
        expect(page.locator("p, pre, div").get_by_text(mark).locator("visible=true")).to_have_count(2)  # two panes
        shown += 2
    record_property("measured", f"{len(PAYLOADS)} payloads shown {shown} times: {len(dialogs)} dialogs, "
                    f"{len(seen.outside)} requests elsewhere")
    assert not dialogs and not seen.outside and page.evaluate("window.taken") is None
    assert page.evaluate(elements) <= before + 8, "Gradio's own icons come and go; a payload's elements would add 40"
