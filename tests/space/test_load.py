"""Many visitors at once, for long, and such as leave: run by `python -m benchmarks.reliability` (L1 to L4), which keeps
what is recorded here. Figures to reach: facts, reliability, 3."""

import itertools
import os
import threading
import time

import psutil
import pytest

from kira.limits import VISITORS
from kira.refusal import BUSY
from kira.settings import Settings
from tests.space.conftest import wait_until
from tests.space.visitor import Visitor, all_of

pytestmark = pytest.mark.slow
PLACES = VISITORS + Settings().queue_size
ABANDONED = 100
USERS = 20
SOAK_MINUTES = float(os.environ.get("KIRA_SOAK_MINUTES", 10))


@pytest.fixture(autouse=True)
def awake(space):
    """How a Space that still loads meets many at once is another question."""
    all_of([Visitor(space, tokens=4)])


@pytest.mark.parametrize("clients", [4, 16, 32])
def test_as_many_are_served_as_there_are_places_and_the_others_told_at_once(space, clients, record_property):
    visitors = all_of([Visitor(space) for _ in range(clients)])
    served = [v for v in visitors if "process_completed" in v.heard and not v.error]
    refused = [v for v in visitors if v.refused]
    slowest = max((v.heard["refused"] for v in refused), default=0.0)
    record_property("measured", f"{clients} clients: {len(served)} served, {len(refused)} refused"
                    + (f", the last after {slowest:.2f} s" if refused else ""))
    assert (len(served), len(refused)) == (min(clients, PLACES), max(clients - PLACES, 0))
    assert {v.refused for v in refused} <= {(503, BUSY)} and slowest <= 3.5
    assert all_of([Visitor(space, tokens=4)])[0].heard["process_completed"] >= 0


def test_who_waits_is_served_in_turn_and_sees_a_place_at_once(space, record_property):
    # Of unlike lengths, so that places become free one by one.
    running = [Visitor(space, tokens=300 + 150 * i) for i in range(VISITORS)]
    waiting = [Visitor(space, tokens=600) for _ in range(Settings().queue_size)]
    for visitor in [*running, *waiting]:
        visitor.ask()
    all_of([threading.Thread(target=visitor.listen) for visitor in [*running, *waiting]])
    starts = [v.begun + v.heard["process_starts"] for v in waiting]
    place = max(v.heard["estimation"] for v in waiting)
    late = max(v.heard["process_generating"] for v in waiting)
    record_property("measured", f"{len(waiting)} begun in the order in which they came, the last with a first token "
                    f"after {late:.1f} s; place told after {place:.2f} s")
    assert starts == sorted(starts) and min(starts) > max(v.begun for v in waiting)
    assert place <= 1


def at_rest(process):
    """Waits until a second passes with little work: an answer that nobody reads would take most of it."""
    used = []

    def rests():
        used.append(process.cpu_times().user)
        return len(used) > 12 and used[-1] - used[-12] < 0.3

    wait_until(rests, "the process to rest")


def open_things(process):
    return process.num_threads(), process.num_fds()


def test_abandoned_answers_end(space, record_property):
    process = psutil.Process(space.process.pid)

    def ten_leave():
        all_of([Visitor(space, ("ask", "compare")[i % 2], tokens=8000,
                        leave_after="process_generating" if i < VISITORS else "estimation") for i in range(10)])

    all_of([Visitor(space, tokens=4) for _ in range(PLACES)])
    ten_leave()  # the pools that look at who waits start their threads now, and keep them
    at_rest(process)
    threads, files = open_things(process)
    for _ in range(ABANDONED // 10):
        ten_leave()
    at_rest(process)
    next_one = all_of([Visitor(space, tokens=4)])[0].heard["process_generating"]
    more_threads, more_files = (after - before for after, before in zip(open_things(process), (threads, files),
                                                                        strict=True))
    record_property("measured", f"{ABANDONED} abandoned: 0 generate on, {more_threads:+d} threads, {more_files:+d} "
                    f"open files, next visitor's first token after {next_one:.2f} s")
    assert more_threads <= 2 and more_files <= 2 and next_one <= 0.55


def test_soak(space, record_property):
    """USERS come and go for SOAK_MINUTES: they read, ask, compare, leave; now and then all places are taken."""
    process, over = psutil.Process(space.process.pid), threading.Event()
    all_of([Visitor(space, tokens=60) for _ in range(PLACES)])
    at_rest(process)
    before, answers, samples, begun = open_things(process), [], [], time.monotonic()

    def user(number):
        for turn in itertools.count(number):
            if over.wait(1.5 + turn % 5 * 0.5):
                return
            visitor = Visitor(space, ("ask", "compare")[turn % 2], tokens=60,
                              leave_after="process_generating" if turn % 7 == 0 else None)
            visitor.run()
            answers.append((time.monotonic() - begun, visitor))

    users = [threading.Thread(target=user, args=(number,)) for number in range(USERS)]
    for each in users:
        each.start()
    while time.monotonic() - begun < SOAK_MINUTES * 60:
        time.sleep(2)
        samples.append((time.monotonic() - begun, process.memory_info().rss))
    over.set()
    for each in users:
        each.join(60)
    at_rest(process)
    wait_until(lambda: open_things(process)[1] <= before[1] + 2, "connections to close")
    threads, files = (after - earlier for after, earlier in zip(open_things(process), before, strict=True))
    settled = [rss for at, rss in samples if at > 120]
    growth = max(settled[-30:]) / settled[0] - 1
    done = [(at, v.heard["process_completed"]) for at, v in answers if "process_completed" in v.heard and not v.error]
    first, last = (sorted(s for at, s in done if low <= at < low + 60) for low in (0, SOAK_MINUTES * 60 - 60))
    p95 = [times[int(len(times) * 0.95)] for times in (first, last)]
    refused = sum(bool(v.refused) for _, v in answers)
    left = len(answers) - len(done) - refused
    record_property("measured", f"{len(answers)} questions in {SOAK_MINUTES:g} min: {len(done)} answered, {left} left "
                    f"by their visitor, {refused} refused; RSS {growth:+.1%} after minute 2, {threads:+d} threads, "
                    f"{files:+d} open files; p95 {p95[0]:.2f} s, in the last minute {p95[1]:.2f} s")
    assert left <= sum(v.leave_after is not None for _, v in answers), "every other one was answered or refused"
    assert growth < 0.05 and threads <= 2 and files <= 2
