"""/health tells whether the model makes tokens; an answer that fails harms nobody else."""

import json
import threading
import urllib.error
import urllib.request

import gradio as gr
import pytest
import torch
from starlette.testclient import TestClient

from kira import health
from kira import service as kira_service
from kira.engine import Engine
from kira.prompt import build_messages
from tests.space.conftest import wait_until

QUESTION = build_messages("What is a fever?")
SAMPLING = {"max_new_tokens": 60, "temperature": 0.0, "top_p": 1.0, "seed": 0}


def asked(url):
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_model_that_answers_is_healthy(space):
    wait_until(lambda: asked(space.url)[0] == 200, "the model")
    status, told = asked(space.url)
    assert told["status"] == "ok" and told["token_age_s"] < health.PATIENCE_S


@pytest.fixture
def served(published, monkeypatch):
    """The process's service with an engine of its own, that a test may break."""
    service = kira_service.service
    engine = Engine(published.base, [published.adapter], "cpu", 400, 400)
    monkeypatch.setattr(service, "engine", engine)
    monkeypatch.setattr(service, "token_at", None)
    service.ready.set()
    yield service
    service.ready.clear()


def told_by_route():
    from starlette.applications import Starlette

    answer = TestClient(Starlette(routes=[health.ROUTE])).get("/health")
    return answer.status_code, answer.json()["status"], answer.json()["token_age_s"]


def test_only_a_token_is_proof(served):
    status, said, age = told_by_route()
    assert (status, said) == (200, "ok") and age is not None
    served.token_at -= 3600
    assert told_by_route()[2] < 3600, "an old token is no proof: another was asked for"


def test_a_decoder_that_fails_is_told(served, monkeypatch):
    def broken(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(served.engine.batch._decoder, "admit", broken)
    assert told_by_route() == (503, "The model failed (OutOfMemoryError).", None)


def test_a_decoder_that_hangs_is_told(served, monkeypatch):
    monkeypatch.setattr(health, "PATIENCE_S", 0.2)
    monkeypatch.setattr(served.engine.batch, "_thread", threading.Thread())  # never started
    assert told_by_route() == (503, "The model made no token within 0 s.", None)


def test_while_loading_and_without_a_model_it_says_so(served, monkeypatch):
    monkeypatch.setattr(served, "engine", None)
    monkeypatch.setattr(served, "notice", "No model could be loaded.")
    assert told_by_route()[:2] == (503, "No model could be loaded.")
    served.ready.clear()
    assert told_by_route()[:2] == (503, "Kira is being loaded.")


def test_out_of_memory_is_one_visitor_s_and_a_sentence(served, monkeypatch, record_property):
    decoder = served.engine.batch._decoder
    admit = decoder.admit

    def short_of_memory(slots, prompts, adapted):
        if max(map(len, prompts)) > 200:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return admit(slots, prompts, adapted)

    alone = list(served.answer(None, QUESTION, SAMPLING))[-1].texts
    monkeypatch.setattr(decoder, "admit", short_of_memory)
    neighbour = served.answer(None, QUESTION, SAMPLING)
    next(neighbour)
    with pytest.raises(gr.Error) as raised:
        list(served.answer(None, build_messages("0123456789" * 25), SAMPLING))
    assert str(raised.value.message) == (
        "The answer failed (OutOfMemoryError); please ask again, perhaps for a shorter one.")
    assert list(neighbour)[-1].texts == alone, "the neighbour's answer goes on unharmed"
    assert list(served.answer(None, QUESTION, SAMPLING))[-1].texts == alone, "and the next is served"
    record_property("measured", "one sentence to that visitor; a neighbour's answer and the next one as without")
