"""results/safety.json is what the code makes of the texts that were kept unseen."""

import json
import re

import numpy as np
from safetensors import safe_open

from kira.classifier import FOLDER
from kira.normalise import normalise
from kira.vocabulary import FILE, Vocabulary
from train_space.files import read_json, read_json_lines, sha256
from train_space.safety import REPORT, ROOT, of_plain, of_scope, of_triage
from train_space.text_classifier import LEARNS, NAMES, TEXTS


def test_the_report_is_of_this_code():
    kept = read_json(REPORT)
    assert kept["triage"]["unseen"] == of_triage(read_json_lines(TEXTS / "triage" / "unseen.jsonl"))
    assert kept["triage"]["plain"] == of_plain(read_json_lines(TEXTS / "triage" / "plain_unseen.jsonl"))
    vocabulary = Vocabulary.from_json(read_json(ROOT / "release" / FILE))
    assert kept["scope"]["unseen"] == of_scope(read_json_lines(TEXTS / "scope" / "unseen.jsonl"), vocabulary)


def test_nothing_unseen_was_trained_on():
    for name in NAMES:
        kept = [*(TEXTS / name).glob("*unseen.jsonl"), *(TEXTS / name).glob("held_out.jsonl")]
        unseen = {row["text"] for path in kept for row in read_json_lines(path)}
        for part in LEARNS[name]:
            assert not unseen & {row["text"] for row in read_json_lines(TEXTS / name / f"{part}.jsonl")}


def test_the_weights_are_of_these_texts():
    for name, path in NAMES.items():
        texts = [sha256(TEXTS / name / f"{part}.jsonl") for part in LEARNS[name]]
        assert np.load(FOLDER / f"{path}.npz")["texts"].tolist() == texts, f"train {name} anew"
    with safe_open(FOLDER / "triage" / "encoder.safetensors", "pt") as file:
        about = json.loads(file.metadata()["about"])
    texts = [sha256(TEXTS / "triage" / f"{part}.jsonl") for part in LEARNS["triage"]]
    assert about["texts"] == texts, "fine-tune the transformer anew"
    kept = read_json(FOLDER / "triage" / "thresholds.json")
    assert kept["texts"] == sha256(TEXTS / "triage" / "held_out.jsonl"), "set the thresholds anew"


def test_a_gloss_is_of_plain_english_words_and_its_word_as_it_is_read():
    lists = sorted((TEXTS / "glosses").glob("*.tsv"))
    assert {path.stem for path in lists} == {"ar", "de", "es", "fr", "hi", "hi-Latn", "pt", "zh"}
    for path in lists:
        rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
        assert len({word for word, _ in rows}) == len(rows) > 2000, path.stem
        for word, gloss in rows:
            assert re.fullmatch("[a-z]+( [a-z]+)*", gloss), (path.stem, word, gloss)
            assert normalise(word) == word and " " not in word, (path.stem, word)
