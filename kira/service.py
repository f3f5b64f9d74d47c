"""What answers: one base with its adapters in this process, on ZeroGPU run in its worker, or an inference server.

torch and transformers take ten seconds to import, so off ZeroGPU they are imported by the thread that loads.
"""

import logging
import math
import os
import threading
import time
from contextlib import closing
from dataclasses import asdict

import gradio as gr
import spaces

from kira import artifacts, gpu_time
from kira.errors import UserError
from kira.settings import settings
from kira.step import Step

REMOTE = bool(settings().inference_url)
ON_ZEROGPU = not REMOTE and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
# An H100 makes 330 steps a second on TinyLlama's shape (README, benchmarks); 100 leaves room for a slice of one.
STEPS_PER_SECOND = 100
START_S = 5


class Service:
    """What is loaded: `engine` or None, its `speaker`, and the `notice` that says what is missing and why.

    `published`: the adapters, the one that answers and those beside it. `results`: those of each, or empty ones.
    `numbers`: which of the engine's models a run's name stands for, REPOSITORY or REPOSITORY@REVISION; "": the first.
    """

    def __init__(self):
        self.engine = self.speaker = None
        self.published, self.numbers, self.results, self.notice = [], {}, [artifacts.Results()], ""
        self.vocabulary = None  # words of what the first adapter learnt from, where its repository tells them
        self.ready = threading.Event()
        self.token_at = None  # time.monotonic() of the last token of any answer

    def load(self) -> None:
        """Adapters with base, else the first, else base alone, else nothing; `notice` says why. Never raises."""
        try:
            self._load()
        except Exception as error:  # whatever it is, the page stays up and says so
            logging.getLogger("kira").exception("loading failed")
            self.engine = self.speaker = None
            self.notice = f"No model could be loaded ({type(error).__name__}); please come back later."
        finally:
            self.ready.set()

    def _load(self) -> None:
        try:
            first = artifacts.fetch_published(settings())
            beside = self._fetched_beside(first)
            if not (beside and self._serves_beside(first, beside)):
                self._serve({"": first})
            return
        except UserError as error:
            reason = str(error)
        self.notice = f"The base model answers alone, without Kira's fine-tuning: {reason}"
        try:
            base = artifacts.fetch_base(settings().base_repo, settings().base_revision, settings())
            self.engine, self.speaker = _engine(base, []), base
        except UserError as error:
            self.notice = f"No model could be loaded, so Kira cannot answer now: {reason} {error}"

    def _serve(self, runs: dict[str, artifacts.Published]) -> None:
        """Raises UserError."""
        published = list(runs.values())
        results = [artifacts.read_results(each, settings().hub_timeout_s) for each in published]
        self.engine = _engine(published[0].base, [each.adapter for each in published])
        self.speaker, self.published, self.results = published[0].adapter, published, results
        self.vocabulary = artifacts.read_vocabulary(published[0])
        for number, (run, each) in enumerate(runs.items(), 1):
            self.numbers |= {run: number, each.adapter.name: number}
            self.numbers.setdefault(each.adapter.repo, number)

    def _fetched_beside(self, first: artifacts.Published) -> dict[str, artifacts.Published]:
        """The further adapters that can be used; the notice names the others."""
        found = {}
        for run in settings().beside:
            try:
                found[run] = artifacts.fetch_beside(first, run, settings().hub_timeout_s)
            except Exception as error:
                self._leave_out(run, error)
        return found

    def _serves_beside(self, first: artifacts.Published, beside: dict[str, artifacts.Published]) -> bool:
        """Whatever is wrong with the further adapters, the first one is served."""
        try:
            self._serve({"": first, **beside})
            return True
        except Exception as error:
            self._leave_out(", ".join(beside), error)
            return False

    def _leave_out(self, runs: str, error: Exception) -> None:
        reason = str(error)
        if not isinstance(error, UserError):
            logging.getLogger("kira").exception("loading an adapter beside the first failed")
            reason = f"it could not be loaded ({type(error).__name__})."
        self.notice = f"{self.notice} Not shown beside the first adapter: {runs}: {reason}".strip()

    def start(self, warm_up) -> None:
        """Calls `warm_up`, then loads: on ZeroGPU before returning (weights must be on "cuda" at import), elsewhere in
        the background, in one thread: two that import parts of torch at once can wait for each other for ever."""
        def in_turn():
            try:
                warm_up()
            finally:
                self.load()

        if ON_ZEROGPU:
            in_turn()
        else:
            threading.Thread(target=in_turn, daemon=True).start()

    def answer(self, runs: list[str] | None, messages: list[dict], sampling: dict):
        """Steps of an answer, or with `runs` of the base's and each of these; None during loading. Raises UserError."""
        while not self.ready.wait(0.5):
            yield None
        if self.engine is None:
            raise UserError(self.notice)
        models = None if runs is None else [0, *map(self.number, runs)]
        with closing((_lent if ON_ZEROGPU else generate)(models, messages, **sampling)) as steps:
            for step in steps:
                if any(step["tokens"]):
                    self.token_at = time.monotonic()
                yield Step(**step)

    def number(self, run: str) -> int:
        """Of the engine's models, the base being 0. Raises UserError."""
        if not self.published:
            raise UserError("Only the base model could be loaded, so there is nothing to compare it with.")
        if run not in self.numbers:
            raise UserError(f"{run[:200]} is not among the models served here; the Results tab names them.")
        return self.numbers[run]

    def compared(self, runs: list[str]) -> list[artifacts.Source]:
        """The base and the adapters that `runs` name."""
        models = [self.published[0].base, *(each.adapter for each in self.published)]
        return [models[0], *(models[self.number(run)] for run in runs)]

    def token_age_s(self) -> float | None:
        """Seconds since the model's last token for anybody; None before the first."""
        return None if self.token_at is None else time.monotonic() - self.token_at


def called(source: artifacts.Source) -> str:
    """`repo@sha`: what answers, exactly; the repository alone where an inference server chooses the revision."""
    return source.repo if REMOTE else source.name


def _engine(base: artifacts.Source, adapters: list[artifacts.Source]):
    """Raises UserError."""
    if REMOTE:
        from kira.remote import RemoteEngine

        return RemoteEngine(base, adapters, settings())
    from kira.engine import Engine

    engine = Engine(base.folder, [adapter.folder for adapter in adapters], _device(), settings().max_prompt_tokens,
                    settings().max_new_tokens)
    if not ON_ZEROGPU:
        engine.batch  # noqa: B018 - made now, so that the first visitor need not wait for it
    return engine


def _device() -> str:
    import torch

    return "cuda" if ON_ZEROGPU or torch.cuda.is_available() else "cpu"


def gpu_seconds(models, messages, max_new_tokens, temperature, top_p, seed) -> int:
    """What an answer may take of a visitor's daily GPU time; asked for before it runs, so no larger than needed."""
    return min(START_S + math.ceil(max_new_tokens / STEPS_PER_SECOND), math.ceil(settings().deadline_s))


def generate(models, messages, max_new_tokens, temperature, top_p, seed):
    """The engine's steps as dicts, on ZeroGPU in its worker."""
    deadline_s = settings().deadline_s
    if ON_ZEROGPU:
        deadline_s = gpu_seconds(models, messages, max_new_tokens, temperature, top_p, seed)
    steps = service.engine.stream(messages, models, max_new_tokens=max_new_tokens, temperature=temperature,
                                  top_p=top_p, seed=seed, deadline_s=deadline_s)
    try:
        with closing(steps):
            for step in steps:
                yield asdict(step)
    except UserError as error:
        # Of any other exception only the type reaches a visitor from the worker.
        raise gr.Error(str(error), print_exception=False) from None
    except Exception as error:  # out of memory, above all; its words may repeat the question
        logging.getLogger("kira").exception("an answer failed")
        raise gr.Error(f"The answer failed ({type(error).__name__}); please ask again, perhaps for a shorter one.",
                       print_exception=False) from None


def _lent(*args, **sampling):
    """`lent`, whose refusals help."""
    try:
        with closing(lent(*args, **sampling)) as steps:
            yield from steps
    except Exception as error:
        raise gpu_time.told(error) from None


# One decorated function for everything: each has a worker of its own with its own copy of the weights. Only plain
# values go in and out, because they are pickled. For an inference server's answers no GPU is lent.
lent = spaces.GPU(duration=gpu_seconds)(generate)
service = Service()
