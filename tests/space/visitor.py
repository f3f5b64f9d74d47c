"""A visitor of a running Space, by the routes that its page uses."""

import itertools
import json
import threading
import time
import urllib.error
import urllib.request
from functools import cache

numbers = itertools.count()


@cache
def functions(url):
    """Gradio's number of each function, private ones included."""
    config = json.load(urllib.request.urlopen(f"{url}/config", timeout=60))
    return {dependency["api_name"]: dependency["id"] for dependency in config["dependencies"]}


class Visitor(threading.Thread):
    """Calls one function in a session of its own, and notes when it heard what since it asked."""

    def __init__(self, space, function="ask", data=None, tokens=400, leave_after=None, session=None):
        super().__init__()
        self.number, self.url, self.leave_after = next(numbers), space.url, leave_after
        self.data = data or [f"What is a fever of kind {self.number}?",
                             *([None] if function == "ask" else []), tokens, 0, 1, 0,
                             *([""] if function == "compare" else [])]
        self.where = {"fn_index": functions(self.url)[function], "session_hash": session or f"visitor-{self.number}"}
        self.heard, self.refused = {}, None  # message: seconds until it came first; (status, reason)
        self.event = self.told = self.error = None  # the call; its last output; what went wrong with it

    def post(self, route, body):
        request = urllib.request.Request(f"{self.url}/gradio_api/{route}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request, timeout=60))

    def run(self):
        self.ask()
        if not self.refused:
            self.listen()

    def ask(self):
        """Joins the queue, or is refused."""
        self.begun, self.refused = time.monotonic(), None
        try:
            self.event = self.post("queue/join", {"data": self.data, **self.where})["event_id"]
        except urllib.error.HTTPError as error:
            self.heard["refused"] = time.monotonic() - self.begun
            self.refused = error.code, json.load(error)["detail"]

    def listen(self):
        """Hears the call to its end, or to `leave_after`: then every other visitor cancels, the rest just hang up."""
        data = f"{self.url}/gradio_api/queue/data?session_hash={self.where['session_hash']}"
        with urllib.request.urlopen(data, timeout=600) as stream:
            for line in stream:
                if not line.startswith(b"data:"):
                    continue
                message = json.loads(line[5:])
                self.heard.setdefault(message["msg"], time.monotonic() - self.begun)
                if message["msg"] == self.leave_after:
                    break
                if message["msg"] == "process_completed":
                    self.told = message["output"].get("data")
                    self.error = None if message["success"] else message["output"]
        if self.leave_after and self.number % 2:
            self.post("cancel", {"event_id": self.event, **self.where})


def all_of(visitors):
    """Lets them all come at once; returns them when the last has left."""
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(300)
    assert not any(visitor.is_alive() for visitor in visitors), "somebody hangs"
    return visitors
