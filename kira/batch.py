"""Many answers at once through the slots of one Decoder: one step of the model is one token for each of them."""

import threading
from collections import deque
from dataclasses import dataclass, field
from queue import Queue

import torch


@dataclass
class _Answer:
    """What a visitor asked for: `adapted` has each row's adapter, 0: none; each item of `steps` one token per row."""

    prompt: list[int]
    adapted: list[int]
    temperature: float
    top_p: float
    left: int
    generators: list
    steps: Queue = field(default_factory=Queue)
    slots: list[int] = field(default_factory=list)
    closed: bool = False


class Batch:
    """Answers join and leave between two steps; those that find no free slots wait in the order in which they came.

    A thread of its own decodes. It stays: a new thread's first product waits for a handle to the GPU's library. On a
    CPU no other thread should have computed and still live: two teams of OpenMP threads take twice the time.
    """

    def __init__(self, decoder):
        self._decoder, self._changed = decoder, threading.Condition()
        self._waiting, self._thread = deque(), None

    def answer(self, prompt: list[int], adapted: list[int], max_new_tokens: int, temperature: float, top_p: float,
               seed: int) -> _Answer:
        """Begins an answer of len(adapted) rows: read its `steps` (at last None, or an exception), then `close` it.

        `adapted` has each row's adapter: 0 for the base, 1 for the first. Greedy at temperature 0, else sampled with
        `seed`; each row draws the same random numbers.
        """
        device = self._decoder.device
        generators = [torch.Generator(device).manual_seed(seed) for _ in adapted]
        answer = _Answer(prompt, adapted, temperature, top_p, max_new_tokens, generators)
        with self._changed:
            self._waiting.append(answer)
            if self._thread is None:  # not before: on ZeroGPU a thread does not survive the fork of the worker
                self._thread = threading.Thread(target=self._work, daemon=True, name="kira-decoder")
                self._thread.start()
            self._changed.notify()
        return answer

    def close(self, answer: _Answer) -> None:
        """Gives the answer's slots to others before the next step."""
        answer.closed = True

    def _work(self):
        active, free = [], set(range(self._decoder.slots))
        while True:
            with self._changed:
                for answer in [a for a in active if a.closed]:
                    active.remove(answer)
                    free.update(answer.slots)
                    for slot in answer.slots:
                        self._decoder.forget(slot)
                fresh = []
                while self._waiting and (self._waiting[0].closed or len(self._waiting[0].adapted) <= len(free)):
                    answer = self._waiting.popleft()
                    if not answer.closed:
                        answer.slots = sorted(free)[: len(answer.adapted)]  # low slots keep the batch small
                        free.difference_update(answer.slots)
                        fresh.append(answer)
                if not active and not fresh:
                    self._changed.wait()
                    continue
            active += fresh
            try:
                self._advance(active, fresh)
            except Exception as error:  # whatever it is, nobody waits for ever; what reads a prompt harms no other
                for answer in fresh or active:
                    answer.steps.put(error)
                    answer.closed = True

    def _advance(self, active, fresh):
        """One token for each row: of those that just came, or else of all."""
        if fresh:
            slots = [slot for answer in fresh for slot in answer.slots]
            logits = self._decoder.admit(slots, [a.prompt for a in fresh for _ in a.adapted],
                                         [row for a in fresh for row in a.adapted])
            at = {slot: i for i, slot in enumerate(slots)}
        else:
            logits = self._decoder.step(max(slot for answer in active for slot in answer.slots) + 1)
            at = None
        tokens = self._decoder.tokens.tolist()
        for answer in fresh or active:
            if answer.temperature > 0:
                for slot, generator in zip(answer.slots, answer.generators, strict=True):
                    row = logits[at[slot] if at else slot]
                    tokens[slot] = _sampled(row, answer.temperature, answer.top_p, generator)
                    self._decoder.choose(slot, tokens[slot])
            answer.steps.put([tokens[slot] for slot in answer.slots])
            answer.left -= 1
            if not answer.left:
                answer.steps.put(None)
                answer.closed = True


@torch.inference_mode()
def _sampled(logits, temperature, top_p, generator) -> int:
    """A token drawn from the likeliest that together have probability `top_p` (nucleus sampling)."""
    likely, order = torch.softmax(logits / temperature, -1).sort(descending=True)
    likely = likely.masked_fill(likely.cumsum(-1) - likely >= top_p, 0.0)
    return order[torch.multinomial(likely, 1, generator=generator)].item()


def greedy(decoder, prompts: list[list[int]], adapted: list[int], max_new_tokens: int, ends: set[int],
           progress=lambda count: None) -> list[list[int]]:
    """Token ids of each answer, through its end token where one came; `progress` is told of finished answers.

    For measuring: reads prompts in groups, where Batch lets nobody wait. A prompt with its answer must fit into the
    decoder's positions.
    """
    return _answered(decoder, prompts, adapted, max_new_tokens, ends, progress, None)


def sampled(decoder, prompts: list[list[int]], adapted: list[int], max_new_tokens: int, ends: set[int],
            temperature: float, seeds: list[int], progress=lambda count: None) -> list[list[int]]:
    """As `greedy`, but drawn; each answer has a seed of its own, so its neighbours do not change it."""
    generators = [torch.Generator(decoder.device).manual_seed(seed) for seed in seeds]
    return _answered(decoder, prompts, adapted, max_new_tokens, ends, progress,
                     lambda index, logits: _sampled(logits, temperature, 1.0, generators[index]))


def _answered(decoder, prompts, adapted, max_new_tokens, ends, progress, draw):
    made = [[] for _ in prompts]
    waiting = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # like lengths together: less padding
    free, active = list(range(decoder.slots)), {}
    group = max(1, decoder.slots // 4)  # reading one prompt takes as many launches as reading a group

    def take(slots, logits, rows):
        tokens = decoder.tokens.tolist()
        for slot, row in zip(slots, rows, strict=True):
            index = active[slot]
            if draw:
                tokens[slot] = draw(index, logits[row])
                decoder.choose(slot, tokens[slot])
            made[index].append(tokens[slot])
            if tokens[slot] in ends or len(made[index]) == max_new_tokens:
                decoder.forget(slot)
                free.append(slot)
                del active[slot]
                progress(1)

    while waiting or active:
        if waiting and (len(free) >= group or not active):
            free.sort(reverse=True)
            chosen = [waiting.pop() for _ in range(min(len(free), len(waiting)))]
            slots = [free.pop() for _ in chosen]
            logits = decoder.admit(slots, [prompts[i] for i in chosen], [adapted[i] for i in chosen])
            active.update(zip(slots, chosen, strict=True))
            take(slots, logits, range(len(slots)))
        else:
            logits = decoder.step(max(active) + 1)
            slots = list(active)
            take(slots, logits, slots)
    return made
