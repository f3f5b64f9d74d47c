"""Figures and answers as files to take away, made in memory for each request: no copy is left on a disk here."""

import csv
import io
import json

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kira import bundled
from kira.figures import comparison_rows, other_rows
from kira.service import service

ABSENT = "There is no such file; the Results tab links those that there are."


def files(number: int) -> list[str]:
    """Names of what `/downloads/NUMBER/NAME` has of an adapter's results."""
    found = bundled.results(number)
    if not found.metrics:
        return []
    return ["metrics.json", "comparison.csv", *(["differences.csv"] if other_rows(found.metrics) else []),
            *(["training_log.jsonl"] if found.log else []), *(["answers.jsonl"] if found.answers else [])]


def measured(request) -> Response:
    """A file of one adapter's results."""
    number, name = request.path_params["number"], request.path_params["name"]
    if number >= len(service.results) or name not in files(number):
        return JSONResponse({"detail": ABSENT}, 404)
    found = bundled.results(number)
    make = {"metrics.json": lambda: json.dumps(found.metrics, indent=2, ensure_ascii=False) + "\n",
            "comparison.csv": lambda: _csv(comparison_rows(found.metrics)),
            "differences.csv": lambda: _csv(other_rows(found.metrics)),
            "training_log.jsonl": lambda: _json_lines(found.log), "answers.jsonl": lambda: _json_lines(found.answers)}
    return _attachment(name, make[name]())


def shipped(request) -> Response:
    """A report that ships with the repository, as it is."""
    name = request.path_params["name"]
    if name not in bundled.FILES or not (bundled.REPORTS / name).is_file():
        return JSONResponse({"detail": ABSENT}, 404)
    return _attachment(name, (bundled.REPORTS / name).read_text("utf-8"))


def _attachment(name: str, text: str) -> Response:
    kind = {"json": "application/json", "jsonl": "application/x-ndjson", "csv": "text/csv"}[name.rsplit(".", 1)[1]]
    return Response(text, headers={"Content-Disposition": f'attachment; filename="kira-{name}"',
                                   "X-Content-Type-Options": "nosniff"}, media_type=f"{kind}; charset=utf-8")


def _json_lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


ROUTES = [Route("/downloads/shipped/{name}", shipped), Route("/downloads/{number:int}/{name}", measured)]
