"""Runs Kira's service under `spaces`' ZeroGPU mode and prints what it saw as JSON. See facts/space.md, 6.1."""

import json
import multiprocessing
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

CALLS = []


class Scheduler(BaseHTTPRequestHandler):
    def do_POST(self):
        address = urlparse(self.path)
        self.rfile.read(int(self.headers.get("content-length") or 0))
        answer = {}
        if address.path == "/schedule":
            CALLS.append(parse_qs(address.query)["durationSeconds"][0])
            answer = {"idle": True, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "token"}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
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

import spaces  # noqa: E402, F401
from spaces.zero import wrappers  # noqa: E402

wrappers.torch.init = lambda uuid: None
wrappers.torch.move = lambda callback=None: None

from kira import service as kira_service  # noqa: E402
from kira.prompt import build_messages  # noqa: E402

kira_service._device = lambda: "cpu"  # the weights stay where a worker without a GPU can use them
service = kira_service.service
service.start()
loaded_at_once = service.ready.is_set()
assert service.ready.wait(60) and not service.notice, service.notice

def answer(mode, question, tokens):
    sampling = {"max_new_tokens": tokens, "temperature": 0.0, "top_p": 1.0, "seed": 0}
    return service.answer(mode, build_messages(question), sampling)


compare = list(answer("compare", "What is a fever?", 30))
chat = list(answer("chat", "What is a fever?", 30))
try:
    list(answer("chat", "0123456789" * 300, 1))
    too_long = ""
except Exception as error:
    too_long = error.message
after = list(answer("chat", "What is a fever?", 4))[-1].tokens[0]
running = answer("chat", "What is a fever?", 2000)
next(running)
running.close()
workers = multiprocessing.active_children()
print(json.dumps({
    "seconds": CALLS, "chat": chat[-1].texts[0], "compare": compare[-1].texts, "steps": len(chat),
    "loaded_at_once": loaded_at_once, "workers": len(workers), "too_long": too_long, "after_stop": after,
}), flush=True)
for worker in workers:
    worker.kill()  # it would outlive this process and keep its output open
os._exit(0)
