"""Texts in company, as the classifiers meet them while they learn."""

import random

from train_space.company import QUESTIONS, Company, question


def test_a_text_stands_whole_beside_something_harmless_of_its_language():
    rows = [{"text": "Mein Arm ist taub", "label": "emergency", "lang": "de"},
            {"text": "Ich habe Schnupfen", "label": "none", "lang": "de"},
            {"text": "I see nothing any more", "label": "emergency", "lang": "en"}]
    company, rng = Company(rows), random.Random(0)
    made = [company.join(rows[0], rng) for _ in range(300)]
    assert all(rows[0]["text"] in text and "nothing any more" not in text for text in made)
    assert {text.startswith("Mein Arm") for text in made} == {True, False}
    assert any("Schnupfen" in text for text in made) and any("was bedeutet" in text for text in made)


def test_a_long_text_or_one_of_another_language_stays_alone():
    company, rng = Company([]), random.Random(0)
    for row in ({"text": "word " * 41, "lang": "en"}, {"text": "Ho mal di testa", "lang": "it"}):
        assert company.join(row, rng) == row["text"]


def test_a_question_names_its_terms_in_each_language():
    rng = random.Random(0)
    for lang in QUESTIONS:
        made = {question(lang, rng) for _ in range(200)}
        assert len(made) > 30 and not any("{" in text for text in made)
