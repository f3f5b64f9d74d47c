"""The model in this process: one batch for both, streams that grow, threads that end."""

import threading

import pytest

from kira.errors import UserError
from kira.prompt import build_messages, encode_prompt
from kira.service import Service, gpu_seconds
from tests.space.conftest import wait_until

QUESTIONS = ["What is a fever?", "heart", "What do the lungs take up, and why is that of use to the body?"]
GREEDY = {"temperature": 0.0, "top_p": 1.0, "seed": 0, "deadline_s": 600.0}


def last(steps):
    return list(steps)[-1]


@pytest.mark.parametrize("question", QUESTIONS)
def test_rows_of_a_mixed_batch_are_what_each_model_says_alone(engine, question):
    import torch

    messages = build_messages(question)
    pair = last(engine.stream(messages, [0, 1], max_new_tokens=40, **GREEDY))
    alone = last(engine.stream(messages, max_new_tokens=40, **GREEDY))
    ids = torch.tensor([encode_prompt(engine.tokenizer, messages)])
    with engine.model.disable_adapter(), torch.inference_mode():
        made = engine.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=40,
                                     do_sample=False, eos_token_id=sorted(engine.ends), pad_token_id=0)
    base = made[0, ids.shape[1]:].tolist()
    end = next((i for i, token in enumerate(base) if token in engine.ends), len(base))
    assert pair.texts == [engine.tokenizer.decode(base[:end], skip_special_tokens=True).strip(), alone.texts[0]]
    assert pair.texts[0] != pair.texts[1]
    assert pair.tokens == [end, alone.tokens[0]]


def test_texts_grow_and_no_half_character_is_shown(engine):
    steps = list(engine.stream(build_messages(QUESTIONS[0]), max_new_tokens=3000, **GREEDY))
    assert len(steps) > 2
    for before, after in zip(steps, steps[1:], strict=False):
        assert after.texts[0].startswith(before.texts[0])
    assert not any(step.texts[0].endswith("\ufffd") for step in steps[:-1])
    assert [step.ended for step in steps] == [""] * (len(steps) - 1) + ["length"]
    assert steps[-1].tokens == [3000] and steps[-1].rate > 0 and 0 < steps[-1].first_s <= steps[-1].seconds


def test_closing_ends_the_decoding(engine):
    stream = engine.stream(build_messages(QUESTIONS[0]), [0, 1], max_new_tokens=8000, **GREEDY)
    next(stream)
    stream.close()
    read = engine.batch._decoder.at
    wait_until(lambda: not read.any(), "the decoder to forget both rows")  # `at` counts what each row has read


def test_a_deadline_ends_an_answer_and_says_so(engine):
    step = last(engine.stream(build_messages(QUESTIONS[0]), max_new_tokens=8000, **GREEDY | {"deadline_s": 0.3}))
    assert step.ended == "deadline" and step.tokens[0] < 8000
    assert step.notes == ["The time limit was reached, so the answer is cut short."]


def test_sampling_repeats_with_its_seed_only(engine):
    warm = GREEDY | {"temperature": 1.0, "max_new_tokens": 30}
    say = [last(engine.stream(build_messages("heart"), **warm | {"seed": seed})).texts[0] for seed in (1, 1, 2)]
    assert say[0] == say[1] != say[2]


def test_history_is_forgotten_from_its_start_and_that_is_said(engine):
    turns = [{"role": role, "content": "0123456789" * 12} for role in ("user", "assistant")] * 4
    step = last(engine.stream(build_messages("heart", turns), max_new_tokens=4, **GREEDY))
    assert step.forgotten and "no longer sees" in step.notes[0]


def test_a_question_longer_than_the_prompt_is_refused(engine):
    with pytest.raises(UserError, match="please shorten it"):
        list(engine.stream(build_messages("x " * 900), max_new_tokens=4, **GREEDY))


def test_without_an_adapter_there_is_nothing_to_compare(published):
    from kira.engine import Engine

    base = Service()
    base.engine = Engine(published.base, [], "cpu", 400, 8000)
    base.ready.set()
    assert last(base.engine.stream(build_messages("heart"), max_new_tokens=4, **GREEDY)).tokens == [4]
    with pytest.raises(UserError, match="nothing to compare"):
        list(base.answer([""], build_messages("heart"), {}))


def test_visitors_share_the_steps_and_say_what_they_say_alone(engine):
    alone = [last(engine.stream(build_messages(q), max_new_tokens=40, **GREEDY)).texts for q in QUESTIONS]
    together, threads = [None] * 12, []
    for i in range(12):  # 24 rows in 16 slots: some wait

        def ask(i=i):
            asked = build_messages(QUESTIONS[i % 3])
            together[i] = last(engine.stream(asked, [0, 1], max_new_tokens=40, **GREEDY)).texts

        threads.append(threading.Thread(target=ask))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert [texts[1] for texts in together] == [alone[i % 3][0] for i in range(12)]


def test_one_visitor_s_error_is_told_and_the_next_is_served(engine):
    with pytest.raises(RuntimeError):
        list(engine.stream(build_messages("heart"), max_new_tokens=4, **GREEDY | {"temperature": 1.0, "top_p": -1.0}))
    assert last(engine.stream(build_messages("heart"), max_new_tokens=4, **GREEDY)).tokens == [4]


def test_gpu_time_asked_for_follows_the_length():
    asked = [gpu_seconds(None, [], n, 0.0, 1.0, 0) for n in (1, 160, 512)]
    assert asked == [6, 7, 11]
