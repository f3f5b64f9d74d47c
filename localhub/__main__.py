"""A Hugging Face Hub over plain files.

    python -m localhub --root DIR --port N           serve DIR; port 0 takes any free one
    python -m localhub exec --root DIR -- CMD ...    serve DIR while CMD runs, with the clients' environment set
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from localhub.environment import client_environment
from localhub.server import make_server


def listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(512)
    return listener


def endpoint_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(arguments: argparse.Namespace) -> int:
    server = make_server(arguments.root, arguments.log)
    with listen(arguments.host, arguments.port) as listener:
        # From here on the system queues connections, so whoever reads this line may connect.
        print(f"localhub: {endpoint_of(listener)}  (root {arguments.root})", flush=True)
        server.run(sockets=[listener])
    return 0


def execute(arguments: argparse.Namespace) -> int:
    """The server is a thread of this process: it ends with it, however that ends."""
    server = make_server(arguments.root, arguments.log)
    try:
        listener = listen(arguments.host, arguments.port)
    except OSError:
        listener = listen(arguments.host, 0)
    endpoint = endpoint_of(listener)
    print(f"localhub: {endpoint}  (root {arguments.root})", file=sys.stderr, flush=True)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    environment = {**os.environ, **client_environment(endpoint, arguments.root, hf_home=arguments.hf_home)}
    try:
        return run_command(arguments.command, environment)
    finally:
        server.should_exit = True
        thread.join(timeout=5)


def run_command(command: list[str], environment: dict[str, str]) -> int:
    """Runs a command and passes signals on to it and its children; its exit status as a shell would report it."""
    try:
        # A group of its own, so that a signal reaches the children of a shell too, and just once.
        child = subprocess.Popen(command, env=environment, process_group=0)
    except OSError as error:
        print(f"localhub: {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, frame: os.killpg(child.pid, received))
    with Terminal(child.pid):
        status = child.wait()
    return status if status >= 0 else 128 - status


class Terminal:
    """Lends the terminal, if there is one, to another process group: it can read, and Ctrl-C goes to it."""

    def __init__(self, group: int):
        self.group = group
        self.lent = sys.stdin is not None and sys.stdin.isatty() and os.tcgetpgrp(0) == os.getpgrp()

    def _give(self, group: int) -> None:
        if self.lent:
            before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            os.tcsetpgrp(0, group)
            signal.signal(signal.SIGTTOU, before)

    def __enter__(self):
        self._give(self.group)

    def __exit__(self, *_):
        self._give(os.getpgrp())


def main(arguments: list[str]) -> int:
    executing = arguments[:1] == ["exec"]
    parser = argparse.ArgumentParser(
        prog="python -m localhub" + " exec" * executing,
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of the Hub; made when missing")
    parser.add_argument("--port", type=int, default=8900, help="8900 unless given; 0 for any free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; others can reach all but 127.0.0.1")
    parser.add_argument("--log", type=Path, help="append one line of JSON per request; /dev/stdout to see them")
    if not executing:
        return serve(parser.parse_args(arguments))
    parser.add_argument("--hf-home", type=Path, help="the clients' cache; ROOT/../hf-home unless given")
    parser.add_argument("command", nargs="+", help="after --: what to run")
    return execute(parser.parse_args(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
