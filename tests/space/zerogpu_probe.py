"""Runs Kira's service under `spaces`' ZeroGPU mode and prints what it saw as JSON. See facts/space.md, 6.1."""

import base64
import json
import multiprocessing
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, urlparse

CALLS, RELEASED = [], []
LEASE = {"idle": True, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "token"}
REFUSALS = {  # by the seconds asked for: status, kind, what the scheduler says
    "77": (429, "application/json", json.dumps({"left": 30, "wait": "PT3H"})),
    "78": (200, "text/event-stream", "event: failed\n\n"),
    "79": (503, "application/json", "{}"),
    "80": (500, "application/json", "{}"),
}


class Scheduler(BaseHTTPRequestHandler):
    def do_POST(self):
        address = urlparse(self.path)
        self.rfile.read(int(self.headers.get("content-length") or 0))
        status, kind, answer = 200, "application/json", "{}"
        if address.path == "/schedule":
            CALLS.append(parse_qs(address.query)["durationSeconds"][0])
            status, kind, answer = REFUSALS.get(CALLS[-1], (status, kind, json.dumps(LEASE)))
        if address.path == "/release":
            RELEASED.append(address.query)
        body = answer.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Scheduler)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ.update(SPACES_ZERO_GPU="true", SPACES_ZERO_DEVICE_API_URL=f"http://127.0.0.1:{server.server_port}")

import peft  # noqa: E402, F401  # (bitsandbytes, which it imports, looks for CUDA only if torch has it)
import torch  # noqa: E402

torch.set_num_threads(1)  # the worker is forked, and OpenMP's threads do not survive a fork
torch.version.cuda = "12.8"  # a CPU build has None
for name in ("_cuda_init", "_cuda_exchangeDevice", "_cuda_maybeExchangeDevice"):
    if not hasattr(torch._C, name):
        setattr(torch._C, name, lambda *_: -1)
torch.cuda._is_in_bad_fork = bool

import gradio as gr  # noqa: E402
import spaces  # noqa: E402, F401
from spaces.zero import wrappers  # noqa: E402

wrappers.torch.init = lambda uuid: None
wrappers.torch.move = lambda callback=None: None

from gradio.context import LocalContext  # noqa: E402

from kira import chat_tab, endpoints, examples  # noqa: E402
from kira import service as kira_service  # noqa: E402
from kira.prompt import build_messages  # noqa: E402
from kira.settings import settings  # noqa: E402
from kira.triage import warm_up  # noqa: E402

kira_service._device = lambda: "cpu"  # the weights stay where a worker without a GPU can use them
service = kira_service.service
service.start(warm_up)
loaded_at_once = service.ready.is_set()
assert service.ready.wait(60) and not service.notice, service.notice

def answer(runs, question, tokens):
    sampling = {"max_new_tokens": tokens, "temperature": 0.0, "top_p": 1.0, "seed": 0}
    return service.answer(runs, build_messages(question), sampling)


compare = list(answer(["", *settings().beside], "What is a fever?", 30))
chat = list(answer(None, "What is a fever?", 30))
try:
    list(answer(None, "0123456789" * 300, 1))
    too_long = ""
except Exception as error:
    too_long = error.message
after = list(answer(None, "What is a fever?", 4))[-1].tokens[0]
running = answer(None, "What is a fever?", 2000)
next(running)
running.close()
leases, released = len(CALLS), len(RELEASED)


class Headers(dict):
    """As `spaces` wants a request's: with attributes."""


def refusal(seconds, **headers):
    LocalContext.request.set(SimpleNamespace(client=None, headers=Headers(headers)))
    try:
        list(answer(None, "What is a fever?", (seconds - 5) * 100))
    except gr.Error as error:
        return error.message


signed_in = "." + base64.urlsafe_b64encode(b"{}").decode() + "."
refused = {"quota": refusal(77, **{"x-ip-token": signed_in}), "no token": refusal(77),
           "timeout": refusal(78, **{"x-ip-token": signed_in}), "none": refusal(79), "broken": refusal(80)}

asked, example = len(CALLS), examples.EXAMPLES[0]
first = list(chat_tab.chat(example, [], 30, 0, 1, 0))[-1]
paid = len(CALLS) - asked
again = list(chat_tab.chat(example, [], 30, 0, 1, 0))[-1]
emergency, dose = (list(endpoints.ask(question))[-1] for question in (
    "My chest feels like someone is sitting on it and my left arm aches.", "How many ibuprofen should I give my son?"))
free = {"paid": paid, "asked later": len(CALLS) - asked - paid, "cached": again[1] == first[1],
        "emergency": emergency["notice"]["label"], "declined": dose["notice"]["label"]}
workers = multiprocessing.active_children()
print(json.dumps({
    "seconds": CALLS[:leases], "leases": leases, "released": released, "refused": refused, "free": free,
    "chat": chat[-1].texts[0], "compare": compare[-1].texts, "steps": len(chat),
    "loaded_at_once": loaded_at_once, "workers": len(workers), "too_long": too_long, "after_stop": after,
}), flush=True)
for worker in workers:
    worker.kill()  # it would outlive this process and keep its output open
os._exit(0)
