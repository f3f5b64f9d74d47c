"""Who waits where: help waits behind nobody who needs a model, and is refused to nobody because these are many.

Gradio bounds all that waits together and serves a line in turn, so eight waiting questions would turn away a ninth
visitor who describes an emergency. It has no hook for that, hence `admit` wraps its queue's `push`.
"""

import asyncio

from gradio.queueing import EventQueue, Queue

from kira import guard, limits
from kira.controls import MODEL
from kira.errors import UserError
from kira.settings import settings

HELP = "help"
MOST_WITHOUT_MODEL = 64  # may wait in a line whose work takes a moment: fixed words, triage, results
PATIENCE_S = 3.0  # programs wait 5 s to be told that they are in line
EARLY = limits.Rate(settings().questions_per_minute)


def admit(queue: Queue) -> None:
    """Bounds every line of `queue` by itself, and lets a question that shows danger pass by those for a model.

    Whoever asks more than the rate allows is not looked at before their turn: looking takes work.
    """
    push, lines = queue.push, queue.event_queue_per_concurrency_id
    lines[HELP] = EventQueue(HELP, limits.VISITORS)
    queue.max_size = None

    async def pushed(body, request, username):
        fn = queue.blocks.fns.get(body.fn_index)
        line = fn.concurrency_id if fn else None
        most = settings().queue_size if line == MODEL["concurrency_id"] else MOST_WITHOUT_MODEL
        danger = line == MODEL["concurrency_id"] and await _shows_danger(body.data, request)
        if danger:
            line, most = HELP, MOST_WITHOUT_MODEL
        if line in lines and len(lines[line].queue) >= most:
            return False, "", "queue_full"
        success, event_id, state = await push(body, request, username)
        if danger and success:  # nothing else has run since `push` put it into its line
            event = queue.event_ids_to_events[event_id]
            lines[event.concurrency_id].queue.remove(event)
            event.concurrency_id = HELP
            lines[HELP].queue.append(event)
        return success, event_id, state

    queue.push = pushed


async def _shows_danger(data, request) -> bool:
    """Whether the question, which is the first value of every call that needs a model, is met with fixed words."""
    try:
        EARLY.count(limits.visitor_of(request))
    except UserError:
        return False
    looking = asyncio.to_thread(guard.danger_in, data[0] if data else None, settings().max_question_chars)
    try:
        return await asyncio.wait_for(looking, PATIENCE_S) is not None
    except TimeoutError:  # word lists still being read, or many ask at once: fixed words come in turn
        return False
