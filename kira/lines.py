"""Who waits where: help waits behind nobody who needs a model, and is refused to nobody because these are many.

Gradio bounds all that waits together and serves a line in turn, so eight waiting questions would turn away a ninth
visitor who describes an emergency. It has no hook for that, hence `admit` wraps its queue's `push`.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from gradio.queueing import EventQueue, Queue

from kira import guard, limits
from kira.controls import MODEL
from kira.errors import UserError
from kira.settings import settings

HELP = "help"
MOST_WITHOUT_MODEL = 64  # may wait in a line whose work takes a moment: fixed words, triage, results
PATIENCE_S = 3.0  # programs wait 5 s to be told that they are in line
LOOKERS = ThreadPoolExecutor(2, "look")  # looks at no more at once, so that many who wait slow down nobody's answer
EARLY = limits.Rate(settings().questions_per_minute)


def admit(queue: Queue) -> None:
    """Bounds every line of `queue` by itself, and lets a question that shows danger pass by those for a model.

    Whoever asks more than the rate allows is not looked at before their turn: looking takes work.
    """
    push, lines, looking = queue.push, queue.event_queue_per_concurrency_id, set()
    lines[HELP] = EventQueue(HELP, limits.VISITORS)
    queue.max_size = None

    def is_full(line):
        most = settings().queue_size if line == MODEL["concurrency_id"] else MOST_WITHOUT_MODEL
        return line in lines and len(lines[line].queue) >= most

    def must_wait(line):
        return line.current_concurrency + len(line.queue) > line.concurrency_limit

    def pass_by(event):
        line = lines[event.concurrency_id].queue
        if event in line and not is_full(HELP):
            line.remove(event)
            event.concurrency_id = HELP
            lines[HELP].queue.append(event)

    async def look(event, request):
        if await _shows_danger(event.data.data, request):
            pass_by(event)

    async def pushed(body, request, username):
        fn = queue.blocks.fns.get(body.fn_index)
        line = fn.concurrency_id if fn else None
        full = is_full(line)
        if full and (line != MODEL["concurrency_id"] or is_full(HELP) or not await _shows_danger(body.data, request)):
            return False, "", "queue_full"
        success, event_id, state = await push(body, request, username)
        event = queue.event_ids_to_events.get(event_id) if success else None
        if full and event:  # nothing else has run since `push` put it into its line
            pass_by(event)
        elif event and line == MODEL["concurrency_id"] and must_wait(lines[line]):
            looking.add(task := asyncio.create_task(look(event, request)))
            task.add_done_callback(looking.discard)
        return success, event_id, state

    queue.push = pushed


async def _shows_danger(data, request) -> bool:
    """Whether the question, which is the first value of every call that needs a model, is met with fixed words."""
    try:
        EARLY.count(limits.visitor_of(request))
    except UserError:
        return False
    looking = asyncio.get_running_loop().run_in_executor(
        LOOKERS, guard.danger_in, data[0] if data else None, settings().max_question_chars)
    try:
        return await asyncio.wait_for(looking, PATIENCE_S) is not None
    except TimeoutError:  # word lists still being read, or many ask at once: fixed words come in turn
        return False
