"""Source rows to a clean split with a manifest and a dataset card.

    python -m train_space prepare --recipe embedded
"""

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import yaml

from kira.errors import UserError
from train_space import template
from train_space.clean import clean, normal_form
from train_space.duplicates import near_duplicates
from train_space.files import sha256, write_json, write_text
from train_space.licences import is_share_alike
from train_space.recipe import Recipe
from train_space.split import leakage, sample, split

CARD_TEMPLATE = Path(__file__).resolve().parent.parent / "dataset_card.md"
TINY_ANSWER_WORDS = 3  # shorter ones ("Yes.", a stray label) teach nothing that the metrics can see
COLUMNS = ("id", "question", "answer", "type", "topic", "source", "url", "references", "licence")
RECIPE_FIELDS = ("source", "source_licence", "sample_rows", "max_answer_words", "split", "validation_share",
                 "test_share", "split_seed", "max_length")


def prepare(recipe: Recipe, out_dir: Path, dataset_repo: str, tokenizer) -> dict:
    """Writes parquet files, manifest.json and README.md to `out_dir`, all or nothing; returns the manifest.

    The same recipe and source give the same bytes. `tokenizer` serves the table of token lengths only. Raises
    UserError for a bad source and when too few rows are left to split.
    """
    from kira.prompt import require_chat_template
    from train_space import sources

    require_chat_template(tokenizer)
    found, origins = sources.load(recipe)
    rows, dropped = select(found, recipe)
    if len(rows) < 10:
        raise UserError(f"Only {len(rows)} of {len(found)} rows are left after cleaning (dropped: {dropped}); "
                        "name a larger source or raise max_answer_words.")
    sides = split(rows, recipe.split, recipe.validation_share, recipe.test_share, recipe.split_seed)
    empty = [name for name, side in sides.items() if not side]
    if empty:
        raise UserError(f"No topic is left for the split {empty[0]}; give more rows or more topics.")

    stage = out_dir.with_name(out_dir.name + ".new")
    shutil.rmtree(stage, ignore_errors=True)
    for name, side in sides.items():
        _write_parquet(stage / "data" / f"{name}-00000-of-00001.parquet", side)
    manifest = {
        "schema": 1,
        "origins": origins,
        "recipe": recipe.digest_fields(*RECIPE_FIELDS),
        "seed": recipe.split_seed,
        "split": recipe.split,
        "rows": {"in": len(found), "dropped": dropped, "kept": len(rows), **{n: len(s) for n, s in sides.items()}},
        "licences": dict(sorted(Counter(row["licence"] for row in rows).items())),
        "types": dict(sorted(Counter(row["type"] for row in rows).items())),
        "topics": {name: len({row["topic"] for row in side}) for name, side in sides.items()},
        "files": {f"data/{p.name}": {"sha256": sha256(p), "bytes": p.stat().st_size}
                  for p in sorted((stage / "data").iterdir())},
        "leakage": leakage({name: _read_parquet(stage / "data" / f"{name}-00000-of-00001.parquet") for name in sides}),
        **token_lengths(rows, tokenizer, recipe.max_length),
    }
    write_json(stage / "manifest.json", manifest)
    write_text(stage / "README.md", render_card(manifest, dataset_repo, sides["train"][0]))
    old = out_dir.with_name(out_dir.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out_dir.exists():
        out_dir.rename(old)
    stage.rename(out_dir)
    shutil.rmtree(old, ignore_errors=True)
    return manifest


def select(found: list[dict], recipe: Recipe) -> tuple[list[dict], dict[str, int]]:
    """(clean rows in the contract's keys, number dropped by each rule); duplicates of a kept row are dropped.

    The ancestor's random split keeps duplicates, as the ancestor did: its leakage is what it is there to show.
    """
    dropped = Counter(dict.fromkeys(
        ("no_text", "tiny_answer", "long_answer", "exact_duplicate", "near_duplicate", "not_sampled"), 0))
    rows, seen = [], set()
    for row in found:
        question, answer = clean(row["question"]), clean(row["answer"])
        words = len(answer.split())
        if not question or not answer:
            dropped["no_text"] += 1
        elif words < TINY_ANSWER_WORDS:
            dropped["tiny_answer"] += 1
        elif words > recipe.max_answer_words:
            dropped["long_answer"] += 1
        elif recipe.split == "topic" and normal_form(answer) in seen:
            dropped["exact_duplicate"] += 1
        else:
            seen.add(normal_form(answer))
            rows.append({**row, "question": question, "answer": answer, "topic": normal_form(clean(row["topic"])),
                         "id": f"{row['source']}-{text_digest(question, answer)}"})
    if recipe.split == "topic":
        gone = near_duplicates([row["answer"] for row in rows])
        dropped["near_duplicate"] = len(gone)
        rows = [row for i, row in enumerate(rows) if i not in gone]
    kept = sample(rows, recipe.sample_rows, recipe.split_seed)
    dropped["not_sampled"] = len(rows) - len(kept)
    return kept, dict(dropped)


def text_digest(question: str, answer: str) -> str:
    """What a row's id ends with: it binds the id to the row's text, so that no other text can pass for it."""
    return hashlib.sha1(f"{normal_form(question)}\n{normal_form(answer)}".encode()).hexdigest()[:12]


def token_lengths(rows: list[dict], tokenizer, max_length: int) -> dict:
    """{"token_lengths": {part: {percentile: tokens}}, "share_truncated": share of rows beyond `max_length`}."""
    import numpy as np

    from kira.prompt import training_row

    made = [training_row(row["question"], row["answer"]) for row in rows]
    prompts = _lengths(tokenizer, [m["prompt"] for m in made], add_generation_prompt=True)
    totals = _lengths(tokenizer, [m["prompt"] + m["completion"] for m in made])
    parts = {"prompt": prompts, "answer": totals - prompts, "total": totals}
    return {
        "token_lengths": {part: {f"p{p}": int(np.percentile(n, p)) for p in (50, 90, 99, 100)}
                          for part, n in parts.items()},
        "share_truncated": float((totals > max_length).mean()),
    }


def render_card(manifest: dict, dataset_repo: str, example: dict) -> str:
    """Text of the dataset card; every number in it comes from the manifest."""
    return template.render(
        CARD_TEMPLATE,
        front_matter=yaml.safe_dump(_front_matter(manifest, dataset_repo), sort_keys=False, allow_unicode=True),
        manifest=manifest, origins=manifest["origins"], rows=manifest["rows"], repo=dataset_repo, example=example,
        splits=[name for name in ("train", "validation", "test") if name in manifest["rows"]],
        alike=[name for name in manifest["licences"] if is_share_alike(name)],
    )


def _front_matter(manifest: dict, repo: str) -> dict:
    origins, rows, files = manifest["origins"], manifest["rows"], manifest["files"]
    splits = [name for name in ("train", "validation", "test") if name in rows]
    size = sum(entry["bytes"] for entry in files.values())
    licences = sorted({"other" if origin["licence_link"] else origin["licence"] for origin in origins})
    card = {"license": licences if len(licences) > 1 else licences[0]}
    for origin in filter(lambda o: o["licence_link"], origins):
        card |= {"license_name": origin["licence"].lower().replace(" ", "-"), "license_link": origin["licence_link"]}
    bound = next(f"n<{label}" if not low else f"{low}<n<{label}" for low, limit, label in (
        ("", 1000, "1K"), ("1K", 10_000, "10K"), ("10K", 100_000, "100K"), ("100K", 10**12, "1M"))
        if rows["kept"] < limit)
    features = [{"name": name, "dtype": "string"} for name in COLUMNS if name != "references"]
    features.insert(COLUMNS.index("references"), {"name": "references", "list": "string"})
    return {
        **card, "language": ["en"], "pretty_name": repo.split("/")[-1], "task_categories": ["question-answering"],
        "size_categories": [bound], "annotations_creators": ["found"], "tags": ["medical"],
        "configs": [{"config_name": "default", "data_files": [
            {"split": name, "path": f"data/{name}-*"} for name in splits]}],
        "dataset_info": {
            "config_name": "default", "features": features,
            "splits": [{"name": n, "num_bytes": files[f"data/{n}-00000-of-00001.parquet"]["bytes"],
                        "num_examples": rows[n]} for n in splits],
            "download_size": size, "dataset_size": size,
        },
    }


def _lengths(tokenizer, conversations: list, **options):
    import numpy as np

    ids = tokenizer.apply_chat_template(conversations, tokenize=True, return_dict=False, **options)
    return np.array([len(row) for row in ids])


def _read_parquet(path: Path) -> list[dict]:
    from pyarrow import parquet

    return parquet.read_table(path).to_pylist()


def _write_parquet(path: Path, rows: list[dict]) -> None:
    import pyarrow
    from pyarrow import parquet

    from train_space.files import replacing

    schema = pyarrow.schema([(c, pyarrow.list_(pyarrow.string()) if c == "references" else pyarrow.string())
                             for c in COLUMNS])
    with replacing(path) as temporary:
        table = pyarrow.Table.from_pylist([{c: row[c] for c in COLUMNS} for row in rows], schema)
        parquet.write_table(table, temporary)
