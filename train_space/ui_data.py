"""The visitor's rows: an uploaded CSV or JSON Lines, or a Hub dataset; a preview, and what training reads."""

import csv
import io
import json
from itertools import islice
from pathlib import Path

from kira.errors import UserError
from train_space.sources import COLUMNS

MAX_UPLOAD_MB = 10
MAX_ROWS = 20_000
MAX_COLUMNS = 50
PREVIEW_ROWS = 3
PREVIEW_CHARS = 160
DIFFERENT = "Please choose two different columns of the rows: one for questions, one for answers."
QUESTION_NAMES = ("question", "input", "prompt", "term", "instruction")
ANSWER_NAMES = ("answer", "output", "response", "completion", "definition")


def read_upload(path: Path) -> list[dict]:
    """Rows of a .csv or .jsonl file as {column: text}. Raises UserError for what is too large, broken or empty."""
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise UserError("Please upload a .csv or .jsonl file.")
    if not path.is_file():
        raise UserError("The upload is no longer here; please upload the file again.")
    if path.stat().st_size > MAX_UPLOAD_MB * 2**20:
        raise UserError(f"The file is larger than {MAX_UPLOAD_MB} MB; please upload a part of it.")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError("The file is not text in UTF-8; please save it as UTF-8.") from None
    rows = list(islice(_csv(text) if path.suffix.lower() == ".csv" else _json_lines(text), MAX_ROWS + 1))
    if not rows:
        raise UserError("The file has no rows.")
    if len(rows) > MAX_ROWS:
        raise UserError(f"The file has more than {MAX_ROWS:,} rows; please upload a part of it.")
    if len(columns(rows)) > MAX_COLUMNS:
        raise UserError(f"The file has more than {MAX_COLUMNS} columns; please keep question and answer.")
    return rows


def _csv(text):
    try:
        reader = csv.DictReader(io.StringIO(text), strict=True)
        for row in reader:
            if None in row:
                raise UserError(f"Line {reader.line_num} of the CSV has more values than the first line names columns.")
            yield {name: value or "" for name, value in row.items()}
    except csv.Error as error:
        raise UserError(f"The file is not readable as CSV: {error}.") from None


def _json_lines(text):
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise UserError(f"Line {number} of the file is not a JSON object.")
        yield {name: value for name, value in row.items() if isinstance(value, str)}


def columns(rows: list[dict]) -> list[str]:
    """Names of all columns, in the order in which they appear."""
    return list(dict.fromkeys(name for row in rows for name in row))


def guesses(names: list[str]) -> tuple[str | None, str | None]:
    """The columns that look like question and answer, else the first two."""
    lower = {name.lower().strip(): name for name in names}
    question = next((lower[n] for n in QUESTION_NAMES if n in lower), names[0] if names else None)
    rest = [name for name in names if name != question]
    answer = next((lower[n] for n in ANSWER_NAMES if n in lower and lower[n] in rest), rest[0] if rest else None)
    return question, answer


def preview(rows: list[dict], names: list[str]) -> list[list[str]]:
    """The first rows, each text shortened."""
    def short(value):
        text = value if isinstance(value, str) else str(value)
        return text if len(text) <= PREVIEW_CHARS else f"{text[:PREVIEW_CHARS]} …"

    return [[short(row.get(name, "")) for name in names] for row in rows[:PREVIEW_ROWS]]


def mapped(rows: list[dict], question: str, answer: str) -> list[dict]:
    """{"question", "answer"} of every row that has both. Raises UserError when none has."""
    names = columns(rows)
    if question not in names or answer not in names or question == answer:
        raise UserError(DIFFERENT)
    found = [{"question": row[question], "answer": row[answer]} for row in rows
             if row.get(question, "").strip() and row.get(answer, "").strip()]
    if not found:
        raise UserError("No row has text in both chosen columns.")
    return found


def check_licence(licence: str) -> None:
    """Raises UserError for one that the Hub takes on no card: it would say so only after all the training."""
    from huggingface_hub import DatasetCard

    from train_space.hub import hub_errors

    if not licence or len(licence) > 100 or "," in licence:
        raise UserError("Please say under which licence the rows may be used, such as cc-by-4.0.")
    try:
        with hub_errors("ask the Hub which licences it knows"):
            DatasetCard(f"---\nlicense: {json.dumps(licence)}\n---\n").validate(repo_type="dataset")
    except ValueError:
        raise UserError(f"The Hub does not know the licence {licence}; please name one of its ids, such as cc-by-4.0, "
                        "or other.") from None


def look_at_dataset(repo: str, token: str) -> tuple[str, list[dict]]:
    """(commit sha, first rows) of a Hub dataset. Raises UserError when it cannot be read as rows."""
    from datasets import load_dataset
    from huggingface_hub import HfApi

    from train_space.hub import hub_errors

    if repo.count("/") != 1 or len(repo) > 200:
        raise UserError("Please name the dataset as OWNER/NAME.")
    with hub_errors(f"find the dataset {repo}"):
        sha = HfApi(token=token).dataset_info(repo).sha
    try:
        with hub_errors(f"read the dataset {repo}"):
            rows = list(load_dataset(repo, revision=sha, split="train", streaming=True, token=token).take(PREVIEW_ROWS))
    except UserError:
        raise
    except Exception as error:  # each format's reader has errors of its own
        raise UserError(f"The dataset {repo} has no split `train` that can be read as rows.") from error
    if not rows or len(columns(rows)) > MAX_COLUMNS:
        raise UserError(f"The dataset {repo} has no rows, or more than {MAX_COLUMNS} columns.")
    return sha, rows


def source_fields(rows: list[dict], question: str | None, answer: str | None) -> dict:
    """Which loader reads a Hub dataset with these first rows, and its columns. Raises UserError for a bad choice.

    MedQuAD's other columns tell which rows are about one thing, so its own loader reads it.
    """
    names = columns(rows)
    if not question and not answer:
        question, answer = guesses(names)
    if question not in names or answer not in names or question == answer:
        raise UserError(DIFFERENT)
    for name in (question, answer):
        if not any(isinstance(row.get(name), str) for row in rows):
            raise UserError(f"The column {name} holds no text.")
    if (question, answer) == ("question", "answer") and set(COLUMNS["medquad"]) <= set(names):
        return {"source": "medquad"}
    return {"source": "jsonl", "question_column": question, "answer_column": answer}
