"""The notice, the conversation and the command line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kira import guard
from kira.lexicon import LONGEST, tokens_of
from kira.notices import languages, notice_text
from kira.rules import FOLDER, read_yaml
from kira.triage import triage, triage_conversation

ROOT = Path(__file__).resolve().parent.parent.parent
NUMBERS = read_yaml(FOLDER / "numbers.yaml")


def label(found):
    return found.label if found else "none"


def test_an_emergency_comes_before_a_crisis():
    found = triage("I want to die. I just took the whole bottle of my pills.")
    assert found.label == "emergency"
    assert "988" in found.text


def test_an_emergency_that_was_not_meant_names_no_crisis_line():
    found = triage("My baby is not breathing.")
    assert found.label == "emergency"
    assert "988" not in found.text


@pytest.mark.parametrize("text", [
    "my grandma isn't breathing", "Dad has crushing chest pain", "he swallowed antifreeze", "my wife is having a fit",
    "throat swelling after shrimp", "I have taken 30 tylenol", "I was attacked with a knife", "my dad has had a stroke",
    "I'm going to shoot myself", "my boyfriend beat me up", "I want to end it", "suicidal"])
def test_danger_in_the_fewest_words(text):
    assert triage(text)


@pytest.mark.parametrize("text", ["what is a stroke", "what is chest pain", "what is self harm", "I love my dad",
                                  "explain anaemia", "is 37 a fever", "I broke my phone", "dry lips", "fever",
                                  "vomiting", "dizzy", "overdose"])
def test_no_danger_in_few_words(text):
    assert triage(text) is None


@pytest.mark.parametrize("text", ["I have a fever.", "My nose is bleeding", "I cut my finger", "my kid vomited once",
                                  "There is some bleeding.", "I feel sick", "my tooth hurts", "I have a headache"])
def test_bare_facts_are_no_emergency(text):
    assert triage(text) is None


@pytest.mark.parametrize("text", ["", " \n", "?", "What helps against dry skin?", "\ud800", "\x00" * 50, "🙂"])
def test_no_notice(text):
    assert triage(text) is None


@pytest.mark.parametrize("halves", [
    ["my son is 3 weeks old", "his temp is 38.7"], ["I am 30 weeks pregnant", "I have a bad headache and see spots"],
    ["I take warfarin.", "I banged my head on the cupboard an hour ago"],
    ["My wife had a c-section last week", "her leg is swollen and she can't get her breath"],
    ["I am on chemo", "temperature 38.4 since an hour"], ["he ate peanuts", "now his lips are swelling"]])
def test_a_conversation_in_halves(halves):
    assert triage(halves[0]) is None
    assert label(triage_conversation(halves)) == "emergency"


@pytest.mark.parametrize("turns", [
    ["My baby is two months old.", "What is a fever?"], ["I am 30 weeks pregnant", "what is preeclampsia?"],
    ["I'm diabetic", "what is ketoacidosis?"], ["He has a fever", "he is 30 and has a sore throat"],
    ["what is an overdose?", "and naloxone?"], ["Tell me about asthma", "my son has it, well controlled"]])
def test_an_ordinary_conversation_is_none(turns):
    assert triage_conversation(turns) is None


@pytest.mark.parametrize(("told", "expected"), [
    ("My baby is not breathing.", "emergency"), ("I want to kill myself tonight.", "crisis")])
def test_what_was_told_earlier_still_stands(told, expected):
    assert label(triage_conversation([told, "Thanks.", "What is a healthy lunch?"])) == expected


def test_an_emergency_outranks_a_later_crisis():
    assert label(triage_conversation(["My baby is not breathing.", "I want to die."])) == "emergency"


@pytest.mark.parametrize("turns", [[], ["Hello"], ["Hello", "What is a healthy lunch?", "And dinner?"]])
def test_a_quiet_conversation(turns):
    assert triage_conversation(turns) is None


@pytest.mark.parametrize("crisis_line", [False, True])
@pytest.mark.parametrize("kind", ["emergency", "crisis"])
@pytest.mark.parametrize("lang", languages())
def test_every_fixed_text_carries_a_number(lang, kind, crisis_line):
    text = notice_text(kind, lang, crisis_line)
    assert "112" in text
    assert ("findahelpline.com" in text) == (kind == "crisis" or crisis_line)
    named = [row["crisis"] for row in NUMBERS.values() if "crisis" in row and row["crisis"] in text]
    assert bool(named) == (kind == "crisis" or crisis_line)


def run(lines):
    command = [sys.executable, "-m", "kira.triage"]
    done = subprocess.run(command, cwd=ROOT, input=lines, capture_output=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def test_the_command_line_labels_lines():
    rows = [{"id": 1, "text": "My baby is not breathing."}, {"id": "b", "text": "I want to kill myself tonight."},
            {"id": None, "text": "What helps against dry skin?"}]
    code, out, err = run("\n\n".join(map(json.dumps, rows)).encode())
    assert (code, err) == (0, "")
    assert out == [{"id": 1, "label": "emergency"}, {"id": "b", "label": "crisis"}, {"id": None, "label": "none"}]


def test_the_command_line_names_bad_lines_and_goes_on():
    good = b'{"id": 2, "text": "My baby is not breathing."}'
    bad = [b"{", b"[]", b'{"id": 1}', b'{"id": 1, "text": 5}', b'{"text": "no id"}', b"\xff", b"[" * 100_000]
    code, out, err = run(b"\n".join([good, *bad, good]))
    assert code == 1
    assert out == [{"id": 2, "label": "emergency"}] * 2
    named = [re.fullmatch(r"Line (\d+) .+", line) for line in err.splitlines()]
    assert [int(line[1]) for line in named] == list(range(2, 2 + len(bad)))


def test_the_import_is_light():
    heavy = "torch transformers gradio sklearn".split()
    code = f"import sys, kira.triage; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_of_an_endless_word_only_the_beginning_is_read():
    (token,) = tokens_of("ab" * 2000)
    assert len(token.text) == LONGEST


def test_what_triage_fails_on_is_met_as_a_danger(monkeypatch, caplog):
    def fails(text):
        raise RuntimeError("a bug")

    monkeypatch.setattr(guard, "triage", fails)
    notice = guard.danger_in("hello there", 4000)
    assert notice.label == "emergency" and "112" in notice.text and "hello" not in caplog.text
