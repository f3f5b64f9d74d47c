"""Answers from an inference server: a real `transformers serve`."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from hypothesis import given, settings
from hypothesis import strategies as st

from kira.errors import UserError
from kira.prompt import break_control_tokens, build_messages, encode_plainly, encode_prompt
from tests.space.conftest import CANARY, HERE, Space, environment, free_port, python, wait_until

QUESTIONS = ["What is a fever?", "heart", "What do the lungs take up, and why is that of use to the body?"]
GREEDY = {"temperature": 0.0, "top_p": 1.0, "seed": 0, "deadline_s": 600.0}
BIN = Path(sys.executable).parent


class Server:
    """A running `transformers serve`; base and adapter under the names that Kira asks for (README's commands)."""

    def __init__(self, hub, folder):
        env = environment(hub, folder / "home")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = f"serve --host 127.0.0.1 --port {port} --device cpu --dtype float32".split()
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen([BIN / "transformers", *command], cwd=folder, env=env, stdout=log,
                                            stderr=log)
        for repo in ("kira/tiny", "kira/tiny-lora"):  # while it starts
            subprocess.run([BIN / "hf", "download", repo, "--local-dir", "kira/tiny-lora"], cwd=folder, env=env,
                           check=True, capture_output=True)

    def answers(self):
        assert self.process.poll() is None
        try:
            return urllib.request.urlopen(f"{self.url}/health", timeout=5).status == 200
        except OSError:
            return False

    def stop(self):
        self.process.kill()
        self.process.wait(20)


@pytest.fixture(scope="module")
def server(hub, published, tmp_path_factory):
    running = Server(hub, tmp_path_factory.mktemp("serve"))
    wait_until(running.answers, "transformers serve")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def remote(engine_at, server):
    return engine_at(server.url)


def last(steps):
    return list(steps)[-1]


@pytest.mark.parametrize("question", QUESTIONS)
def test_both_answers_are_those_of_the_model_in_this_process(remote, engine, question):
    asked = build_messages(question)
    there, here = (last(e.stream(asked, [0, 1], max_new_tokens=40, **GREEDY)) for e in (remote, engine))
    # The server leaves out a character that the length limit cut in half.
    assert there.texts == [text.rstrip("\ufffd") for text in here.texts]
    assert there.texts[0] != there.texts[1] and there.ended == here.ended
    assert last(remote.stream(build_messages(question), max_new_tokens=40, **GREEDY)).texts == there.texts[1:]


def test_transformers_serve_lists_no_adapter_so_a_second_one_is_refused(engine_at, server):
    with pytest.raises(UserError, match="does not (list|tell)"):
        engine_at(server.url, 2)


def test_texts_grow_and_the_length_is_told(remote):
    steps = list(remote.stream(build_messages(QUESTIONS[0]), [0, 1], max_new_tokens=200, **GREEDY))
    assert len(steps) > 2
    for before, after in zip(steps, steps[1:], strict=False):
        assert all(late.startswith(early) for early, late in zip(before.texts, after.texts, strict=True))
    assert [step.ended for step in steps] == [""] * (len(steps) - 1) + ["length"]
    assert steps[-1].tokens == [200, 200] and steps[-1].rate > 0 and 0 < steps[-1].first_s <= steps[-1].seconds
    assert steps[-1].notes == ["The length limit was reached, so the answer may be cut short."]


def test_closing_ends_the_generation_at_the_server(remote, server):
    stream = remote.stream(build_messages(QUESTIONS[0]), [0, 1], max_new_tokens=8000, **GREEDY)
    while not any(next(stream).tokens):
        pass
    stream.close()
    process, seen = psutil.Process(server.process.pid), []

    def idle():
        seen.append(process.cpu_times().user)
        return len(seen) > 12 and seen[-1] - seen[-11] < 0.3

    wait_until(idle, "the server to rest, long before these answers would have ended", 15)


def test_a_deadline_ends_an_answer_and_says_so(remote):
    step = last(remote.stream(build_messages(QUESTIONS[0]), max_new_tokens=8000, **GREEDY | {"deadline_s": 2.0}))
    assert step.ended == "deadline" and 0 < step.tokens[0] < 8000 and step.texts[0]
    assert step.notes == ["The time limit was reached, so the answer is cut short."]


def test_history_is_forgotten_from_its_start_and_that_is_said(remote):
    turns = [{"role": role, "content": "0123456789" * 12} for role in ("user", "assistant")] * 4
    step = last(remote.stream(build_messages("heart", turns), max_new_tokens=4, **GREEDY))
    assert step.forgotten and "no longer sees" in step.notes[0]


def test_a_question_longer_than_the_prompt_is_refused(remote):
    with pytest.raises(UserError, match="please shorten it"):
        list(remote.stream(build_messages("x " * 900), max_new_tokens=4, **GREEDY))


PIECES = st.sampled_from(["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|im_", "end|>", "<|", "|>", "<", " ", "\n",
                          "system", "a", "\u200b"])


@settings(max_examples=300, deadline=None, database=None)
@given(text=st.lists(PIECES, max_size=12).map("".join))
def test_no_typed_control_token_is_left(remote, text):
    tokenizer = remote.tokenizer
    broken = break_control_tokens(tokenizer, text)
    assert not any(token in broken for token in tokenizer.all_special_tokens)
    assert broken.replace(" ", "") == text.replace(" ", ""), "only spaces are added"
    messages = build_messages(broken)
    assert encode_plainly(tokenizer, messages) == encode_prompt(tokenizer, messages)


@pytest.mark.slow
def test_on_zerogpu_no_gpu_is_lent(hub, server, tmp_path):
    env = environment(hub, tmp_path, KIRA_INFERENCE_URL=server.url)
    done = python(HERE / "zerogpu_probe.py", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["seconds"] == [] and said["workers"] == 0
    assert said["chat"] == said["compare"][1] and said["too_long"].endswith("please shorten it.")


@pytest.mark.slow
def test_the_whole_space(hub, server, published, remote, tmp_path):
    home = tmp_path / "home"
    space = Space(environment(hub, home, KIRA_INFERENCE_URL=server.url), tmp_path / "log")
    try:
        wait_until(space.answers, "the page")
        client = Client(space.url, verbose=False)
        steps = list(client.submit("What is a fever?", max_new_tokens=60, api_name="/ask"))
        pair = last(remote.stream(build_messages("What is a fever?"), [0, 1], max_new_tokens=60, **GREEDY))
        assert len(steps) > 1 and steps[-1]["answer"] == pair.texts[1] and steps[-1]["model"] == "kira/tiny-lora"
        both = client.predict("What is a fever?", max_new_tokens=60, api_name="/compare")
        assert [both["base"], both["tuned"]] == pair.texts and both["base_model"] == "kira/tiny"
        assert client.predict(api_name="/results")["revision"] == published.shas["main"]
        header = shown(space)
        assert "an inference server gives them" in header and "kira/tiny-lora</a>, fine-tuned from" in header
        assert list(home.rglob("adapter_model.safetensors")) and not list(home.rglob("model.safetensors"))
        server.stop()  # last in this file, so that nobody misses it
        with pytest.raises(AppError, match="cannot be reached; start it or correct"):
            client.predict(f"What is {CANARY}?", api_name="/ask")
        assert CANARY not in space.log() and "Traceback" not in space.log() and server.url not in space.log()
    finally:
        space.stop()


def shown(space) -> str:
    """Everything that the page gets when it is opened."""
    config = json.load(urllib.request.urlopen(f"{space.url}/config"))
    refresh = next(d["id"] for d in config["dependencies"] if len(d["outputs"]) > 3 and not d["inputs"])
    body = {"data": [], "fn_index": refresh, "session_hash": "test"}
    request = urllib.request.Request(f"{space.url}/gradio_api/queue/join", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    urllib.request.urlopen(request).read()
    with urllib.request.urlopen(f"{space.url}/gradio_api/queue/data?session_hash=test", timeout=60) as events:
        return next(line for line in events if b"process_completed" in line).decode()
