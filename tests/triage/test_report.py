"""results/safety.json is what the code makes of the texts that were kept unseen."""

import numpy as np

from kira.classifier import FOLDER
from kira.vocabulary import FILE, Vocabulary
from train_space.files import read_json, read_json_lines, sha256
from train_space.safety import REPORT, ROOT, of_scope, of_triage
from train_space.text_classifier import NAMES, TEXTS


def test_the_report_is_of_this_code():
    kept = read_json(REPORT)
    assert kept["triage"]["unseen"] == of_triage(read_json_lines(TEXTS / "triage" / "unseen.jsonl"))
    vocabulary = Vocabulary.from_json(read_json(ROOT / "release" / FILE))
    assert kept["scope"]["unseen"] == of_scope(read_json_lines(TEXTS / "scope" / "unseen.jsonl"), vocabulary)


def test_nothing_unseen_was_trained_on():
    for name in NAMES:
        unseen = {row["text"] for row in read_json_lines(TEXTS / name / "unseen.jsonl")}
        for part in ("training", "development"):
            assert not unseen & {row["text"] for row in read_json_lines(TEXTS / name / f"{part}.jsonl")}


def test_the_weights_are_of_these_texts():
    for name, path in NAMES.items():
        texts = [sha256(TEXTS / name / f"{part}.jsonl") for part in ("training", "development")]
        assert np.load(FOLDER / f"{path}.npz")["texts"].tolist() == texts, f"train {name} anew"
