"""The hand-written probe questions: their form, their balance, and that nothing invented stands in the ontology."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from train_space import hpo

PROBES = Path(__file__).resolve().parent.parent.parent / "train_space" / "probes"
KEYS = {
    "general": ["id", "area", "question", "answer", "choices", "correct"],
    "invented": ["id", "kind", "name", "question"],
    "outside": ["id", "kind", "question"],
}
AREAS = {
    "arithmetic and everyday reasoning", "geography", "history", "science", "language and grammar",
    "literature and arts", "technology and computing", "household and cooking", "sport and games", "law and society",
}
KINDS = {"disease", "syndrome", "drug", "test", "procedure", "anatomy"}


def read(name):
    return [json.loads(line) for line in (PROBES / f"{name}.jsonl").read_text("utf-8").splitlines()]


def spaced(text):
    return " ".join(re.findall(r"\w+", text.casefold()))


@pytest.mark.parametrize("name", KEYS)
def test_rows_have_their_keys_and_ids(name):
    for number, row in enumerate(read(name), 1):
        assert list(row) == KEYS[name]
        assert row["id"] == f"{name}-{number:03d}"
        texts = [v for k, v in row.items() if k not in ("choices", "correct")] + row.get("choices", [])
        assert all(isinstance(t, str) and t and t == t.strip() and t.isprintable() for t in texts), row["id"]


def test_questions_are_unique_over_all_files():
    questions = Counter(spaced(row["question"]) for name in KEYS for row in read(name))
    assert not [q for q, n in questions.items() if n > 1]


def test_general_covers_every_area_evenly():
    rows = read("general")
    areas = Counter(row["area"] for row in rows)
    assert len(rows) >= 80
    assert set(areas) == AREAS
    assert max(areas.values()) - min(areas.values()) <= 1


def test_general_answers_and_choices():
    for row in read("general"):
        assert 8 <= len(row["answer"].split()) <= 40, row["id"]
        assert len(row["choices"]) == len({c.casefold() for c in row["choices"]}) == 4, row["id"]
        assert type(row["correct"]) is int and row["correct"] in range(4), row["id"]


def test_general_correct_choice_shows_neither_by_position_nor_by_length():
    rows = read("general")
    positions = Counter(row["correct"] for row in rows)
    assert all(0.2 <= positions[i] / len(rows) <= 0.3 for i in range(4))
    lengths = [([len(c) for c in row["choices"]], row["correct"]) for row in rows]
    for extreme in (min, max):  # a guess by length alone, ties shared, stays near chance
        hits = sum((sizes[k] == extreme(sizes)) / sizes.count(extreme(sizes)) for sizes, k in lengths)
        assert hits / len(rows) <= 0.35


def test_invented_names_stand_in_their_questions():
    rows = read("invented")
    names = [spaced(row["name"]) for row in rows]
    assert len(rows) >= 120
    assert len(set(names)) == len(names)
    assert {row["kind"] for row in rows} == KINDS
    assert not [row["id"] for row in rows if row["name"] not in row["question"]]


@pytest.mark.parametrize("file", ["hp.obo", "phenotype.hpoa"])
def test_invented_names_are_not_in_the_ontology(file):
    known = spaced((hpo.folder() / file).read_text("utf-8"))
    assert spaced("Marfan syndrome") in known or spaced("Arachnodactyly") in known  # the search finds what is there
    assert not [row["name"] for row in read("invented") if spaced(row["name"]) in known]


def test_outside_has_both_kinds():
    kinds = Counter(row["kind"] for row in read("outside"))
    assert set(kinds) == {"outside", "personal"}
    assert kinds["outside"] >= 60
    assert kinds["personal"] >= 20
