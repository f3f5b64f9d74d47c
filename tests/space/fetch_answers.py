"""Schemathesis asks and never fetches an answer, so every place would soon be taken: this reads the beginning of each
and leaves, as a visitor does who closes the page."""

import urllib.request

import schemathesis


@schemathesis.hook
def after_call(context, case, response):
    if response.status_code == 200 and case.method == "POST" and "/gradio_api/call/" in case.path:
        address = response.request.url.replace("/call/v2/", "/call/") + "/" + response.json()["event_id"]
        with urllib.request.urlopen(address, timeout=60) as stream:
            stream.readline()
