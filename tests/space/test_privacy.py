"""What a visitor typed is nowhere afterwards, is nobody else's, and too many questions are told when to come back."""

import asyncio
import contextlib
import json
import random
import threading
import urllib.error
import urllib.request
import uuid
from types import SimpleNamespace

import pytest

from kira import limits
from kira.errors import UserError
from kira.limits import Rate, visitor_of
from tests.space.conftest import Space, environment, wait_until
from tests.space.visitor import Visitor, all_of

SLIDERS = [8, 0, 1, 0]


@pytest.fixture(scope="module")
def space(hub, published, tmp_path_factory):
    """In a working directory, a home and a temporary directory of its own; one visitor may wait."""
    root = tmp_path_factory.mktemp("private")
    for name in ("cwd", "tmp", "home"):
        (root / name).mkdir()
    env = environment(hub, published.home, TMPDIR=str(root / "tmp"), HOME=str(root / "home"), KIRA_QUEUE_SIZE="1",
                      KIRA_QUESTIONS_PER_MINUTE="60", XDG_CACHE_HOME=str(root / "home"))
    running = Space(env, root / "log", root / "cwd")
    wait_until(running.answers, "the page")
    running.root = root
    yield running
    if running.process.poll() is None:
        running.stop()


def request(space, path, body=None):
    asked = urllib.request.Request(f"{space.url}{path}", body, {"Content-Type": "application/json"})
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(asked, timeout=60).read()


def mcp(space, question):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def run():
        async with streamablehttp_client(space.url + "/gradio_api/mcp/") as (read, write, _), \
                ClientSession(read, write) as session:
            await session.initialize()
            await session.call_tool("ask", {"question": question, "max_new_tokens": 4})
            await session.call_tool("ask", {"question": [question], "no_such_thing": question})

    asyncio.run(run())


def by_every_route(space, word):
    """Types `word` into everything that takes text; returns the names of the routes."""
    def ask(*data, function="ask", **more):
        return all_of([Visitor(space, function, list(data), **more)])[0]

    asked = {
        "chat": lambda: ask(word, [], *SLIDERS, function="chat"),
        "side by side": lambda: ask(word, *SLIDERS, False, False, None, function="side_by_side"),
        "API": lambda: ask(word, None, *SLIDERS),
        "bad type": lambda: (ask([word], word, word, word, word, word), ask(word, [], word, word, word, word,
                                                                           function="chat")),
        "exception": lambda: request(space, "/gradio_api/call/v2/ask",
                                     json.dumps({"question": word, word: 1}).encode()),
        "broken body": lambda: request(space, "/gradio_api/call/v2/ask", f'{{"question": "{word}\ud800'.encode(
            "utf-8", "surrogatepass")),
        "cancel": lambda: ask(word, None, 8000, 0, 1, 0, leave_after="process_generating"),
        "forged history": lambda: ask("fever", [{"role": word, "content": word}], *SLIDERS),
        "address": lambda: (request(space, f"/gradio_api/call/ask/{word}"), request(space, f"/{word}?{word}={word}")),
        "MCP": lambda: mcp(space, word),
    }
    for call in asked.values():
        call()
    crowd = [Visitor(space, tokens=8000, leave_after="process_generating") for _ in range(limits.VISITORS)]
    for each in crowd:
        wait_until(lambda each=each: each.ask() or each.event, "a place")
    full = all_of([Visitor(space, "ask", [word, None, *SLIDERS], leave_after="estimation") for _ in range(4)])
    assert [v for v in full if v.refused], "the queue was full"
    all_of([threading.Thread(target=v.listen) for v in crowd])
    return [*asked, "queue full"]


def test_nothing_typed_is_anywhere_afterwards(space, record_property):
    wait_until(lambda: Visitor(space, tokens=1).run() is None, "the model")
    word = f"canary-{uuid.uuid4().hex}"
    routes = by_every_route(space, word)
    files = [path for path in space.root.rglob("*") if path.is_file()]
    assert space.root / "log" in files and space.log()
    found = [str(path) for path in files if word.encode() in path.read_bytes()]
    named = [str(path) for path in space.root.rglob("*") if word in path.name]
    record_property("measured", f"{len(routes)} routes: {len(found)} times in what was printed or in the "
                    f"{len(files) - 1} files written to working, home and temporary directory")
    assert not found and not named


@pytest.mark.slow
def test_two_sessions_never_see_each_other(space, hub, published, tmp_path, record_property):
    """200 calls that come and go at once; each session holds its own conversation and gets its own answers."""
    busy = Space(environment(hub, published.home), tmp_path / "log")
    wait_until(busy.answers, "the page")
    try:
        def asked(session, number, name):
            question = f"What is {name} finding {number}?"
            before = [{"role": role, "content": [{"type": "text", "text": said}]} for role, said in (
                ("user", f"{name} before {number}"), ("assistant", "Yes."))]
            visitor = Visitor(busy, "chat", [question, before, *SLIDERS], session=session)
            visitor.run()
            return json.dumps(visitor.told, sort_keys=True)

        names, draw = ("heart", "lung"), random.Random(3)
        alone = {(name, n): asked(f"alone-{name}-{n}", n, name) for name in names for n in range(5)}
        heard = {name: [] for name in names}

        def session(name):
            for _ in range(100):
                number = draw.randrange(5)
                heard[name].append((number, asked(name, number, name)))

        all_of([threading.Thread(target=session, args=(name,)) for name in names])
        for name, other in (names, names[::-1]):
            assert len(heard[name]) == 100
            for number, told in heard[name]:
                assert f"{name} before {number}" in told and f"{other} before" not in told
                assert f"{name} finding {number}" in told and f"{other} finding" not in told
                assert told.split("tokens,")[0] == alone[name, number].split("tokens,")[0], "speed alone may differ"
        record_property("measured", "200 interleaved calls of 2 sessions: each its own conversation and answer")
    finally:
        busy.stop()


def test_too_many_questions_are_told_when_to_come_back(space):
    """The last of this Space: its visitor has nothing left to ask."""
    told = []

    def refused():
        visitor = all_of([Visitor(space, tokens=1)])[0]
        told.append(visitor.error and visitor.error["error"])
        return told[-1]

    wait_until(refused, "the limit")
    assert len(told) <= 61
    assert told[-1].startswith("You asked 60 questions within a minute, which is the limit; please wait ")
    with urllib.request.urlopen(f"{space.url}/health", timeout=60) as health:
        assert health.status == 200, "health is no visitor"


def test_the_minute_moves_on_and_visitors_are_forgotten(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    rate = Rate(3)
    for _ in range(3):
        rate.count("a")
        now[0] += 10
    rate.count("b")
    with pytest.raises(UserError, match="3 questions within a minute.* wait 30 seconds"):
        rate.count("a")
    now[0] += 30
    rate.count("a")
    now[0] += 61
    rate.count("b")
    assert len(rate._asked) == 1 and b"a" not in rate._asked


@pytest.mark.parametrize("peer, forwarded, on_a_space, told", [
    ("203.0.113.5", "", False, "203.0.113.5"),
    ("203.0.113.5", "8.8.8.8", False, "203.0.113.5"),
    ("10.0.0.1", "8.8.8.8", True, "8.8.8.8"),
    ("10.0.0.1", "1.1.1.1, 8.8.8.8", True, "8.8.8.8"),
    ("10.0.0.1", "made up, 8.8.8.8, 10.1.2.3", True, "8.8.8.8"),
    ("10.0.0.1", "", True, "10.0.0.1"),
    ("2600:1234:5678:9abc:1::1", "", False, "2600:1234:5678:9abc::/64"),
])
def test_whom_a_question_is_counted_for(monkeypatch, peer, forwarded, on_a_space, told):
    monkeypatch.setenv("SPACE_ID", "kira/kira") if on_a_space else monkeypatch.delenv("SPACE_ID", raising=False)
    request = SimpleNamespace(client=SimpleNamespace(host=peer), headers={"x-forwarded-for": forwarded})
    assert visitor_of(request) == told
