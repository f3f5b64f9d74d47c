"""Cards: README.md with YAML on top, and the checks that the Hub makes of it before it takes a commit."""

from collections.abc import Callable
from pathlib import Path

import yaml

from localhub.repo import Repo

LICENCES = frozenset((Path(__file__).parent / "licences.txt").read_text("utf-8").split())
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
SDKS = ("gradio", "streamlit", "docker", "static")


def split_card(text: str) -> tuple[dict, str]:
    """Front matter and the rest; whatever cannot be read as front matter counts as text."""
    try:
        front, rest = _front_matter(text)
    except ValueError:
        front, rest = None, text
    return front or {}, rest


def _front_matter(text: str) -> tuple[dict | None, str]:
    lines = text.lstrip("\ufeff").lstrip().splitlines(keepends=True)
    if not lines or lines[0].rstrip() != "---":
        return None, text
    end = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if end is None:
        return None, text
    try:
        front = yaml.safe_load("".join(lines[1:end]))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"The metadata block is not valid YAML: {str(error).splitlines()[0]}") from error
    if front is not None and not isinstance(front, dict):
        raise ValueError("The metadata block must be a mapping")
    return front, "".join(lines[end + 1 :])


def card_of(repo: Repo, sha: str) -> tuple[dict, str]:
    """Front matter and text of a repo's card; both empty without one."""
    entry = repo.files(sha).get("README.md")
    if entry is None or "lfs" in entry:
        return {}, ""
    return split_card(repo.blob_path(entry["oid"]).read_text("utf-8", "replace"))


def card_problems(text: str, repo_type: str) -> tuple[list[str], list[str]]:
    """Errors, which refuse a card, and warnings, which do not."""
    try:
        front, _ = _front_matter(text)
    except ValueError as error:
        return [str(error)], []
    if not front:
        return [], ["empty or missing yaml metadata in repo card"]
    errors: list[str] = []
    _check(errors, front, "license", _is_licence, f"must be one of [{', '.join(sorted(LICENCES))}] or an array of them")
    for field in ("tags", "datasets", "metrics"):
        _check(errors, front, field, _is_strings, "must be a string or an array of strings")
    if repo_type == "model":
        _check_model_index(errors, front.get("model-index"))
    if repo_type == "space":
        for field in ("colorFrom", "colorTo"):
            _check(errors, front, field, COLOURS.__contains__, f"must be one of [{', '.join(COLOURS)}]")
        _check(errors, front, "sdk", SDKS.__contains__, f"must be one of [{', '.join(SDKS)}]")
        short = "length must be less than or equal to 60 characters long"
        _check(errors, front, "short_description", lambda v: isinstance(v, str) and len(v) <= 60, short)
    return errors, []


def _check(errors: list[str], front: dict, field: str, fits: Callable[[object], bool], rule: str) -> None:
    if front.get(field) is not None and not fits(front[field]):
        errors.append(f'"{field}" {rule}')


def _is_strings(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _is_licence(value: object) -> bool:
    return _is_strings(value) and set([value] if isinstance(value, str) else value) <= LICENCES


def _check_model_index(errors: list[str], index: object) -> None:
    if index is None:
        return
    if not isinstance(index, list):
        errors.append('"model-index" must be an array')
        return
    for i, model in enumerate(index):
        where = f"model-index[{i}]"
        if not isinstance(model, dict) or not isinstance(model.get("name"), str) or not model["name"]:
            errors.append(f'"{where}.name" is required')
        results = model.get("results") if isinstance(model, dict) else None
        if not isinstance(results, list):
            errors.append(f'"{where}.results" must be an array')
            continue
        for j, result in enumerate(results):
            _check_result(errors, f"{where}.results[{j}]", result)


def _check_result(errors: list[str], where: str, result: object) -> None:
    result = result if isinstance(result, dict) else {}
    for part, fields in (("task", ("type",)), ("dataset", ("type", "name"))):
        value = result.get(part)
        for field in fields:
            if not isinstance(value, dict) or not isinstance(value.get(field), str):
                errors.append(f'"{where}.{part}.{field}" is required')
    metrics = result.get("metrics")
    if not isinstance(metrics, list):
        errors.append(f'"{where}.metrics" must be an array')
        return
    for k, metric in enumerate(metrics):
        for field in ("type", "value"):
            if not isinstance(metric, dict) or metric.get(field) is None:
                errors.append(f'"{where}.metrics[{k}].{field}" is required')
