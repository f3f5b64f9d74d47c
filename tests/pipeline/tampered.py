"""Publishes copies of a finished run, each with one lie in it, verifies each, prints {lie: [status, output]} as JSON.

    python tests/pipeline/tampered.py RUN_DIR FOLDER

Run with the local Hub's environment. One process for all, because imports take longer than the checks.
"""

import io
import json
import re
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pyarrow.parquet as pq
from huggingface_hub import HfApi, snapshot_download

from train_space import cards
from train_space.__main__ import main
from train_space.answer_overlap import AnswerOverlap
from train_space.compare import OVERLAP, compare
from train_space.files import read_json, read_json_lines, sha256, write_json, write_json_lines
from train_space.publish import push_folder

SPLIT = "data/data/test-00000-of-00001.parquet"


def edit(folder: Path, name: str, change) -> None:
    value = read_json(folder / name)
    change(value)
    write_json(folder / name, value)


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-7] ^= 1
    path.write_bytes(raw)


def mend(folder: Path) -> None:
    """Shas that fit the lie, so that something else must find it."""
    edit(folder, "metrics.json", lambda m: m["inputs"].update(answers_sha256=sha256(folder / "answers.jsonl")))
    edit(folder, "manifest.json",
         lambda m: m.update(files={name: sha256(folder / name) for name in m["files"]}))


def with_answers(folder: Path, answers: list[dict], rows: dict) -> None:
    """A whole, consistent publication of other answers: figures, card and shas are made to fit."""
    write_json_lines(folder / "answers.jsonl", answers)
    references, recipe = [rows[a["id"]]["answer"] for a in answers], read_json(folder / "recipe.json")["recipe"]
    probes = read_json_lines(folder / "probe_answers.jsonl")
    made = compare(answers, references, recipe["bootstrap_resamples"], recipe["seed"], probes)

    def figures(metrics):
        metrics["runs"] = {run: metrics["runs"][run] | values for run, values in made["runs"].items()}
        metrics |= {part: values for part, values in made.items() if part != "runs"}

    edit(folder, "metrics.json", figures)
    with_card(folder, rows)


def with_card(folder: Path, rows: dict) -> None:
    """Plots, shas and card that fit the other files."""
    cards.write_plots(folder)
    mend(folder)
    (folder / "README.md").write_text(cards.render_card(folder, rows), "utf-8")


def invented(folder: Path, rows: dict) -> None:
    answers = read_json_lines(folder / "answers.jsonl")
    texts = [rows[a["id"]]["answer"] for a in answers]
    scores = AnswerOverlap(keep_in_memory=True).compute(predictions=texts, references=texts)
    for i, answer in enumerate(answers):
        answer["tuned"] |= {"answer": texts[i], **{name: scores[name][i] for name in OVERLAP}}
    with_answers(folder, answers, rows)


def other_base(folder: Path, work: Path, rows: dict, weights_too: bool) -> None:
    """Everything names another base, of the same shape."""
    from safetensors.torch import load_file, save_file

    base = work / "other-base"
    if not base.exists():
        shutil.copytree(snapshot_download("kira/tiny"), base)
        tensors = {name: tensor * 1.05 for name, tensor in load_file(base / "model.safetensors").items()}
        (base / "model.safetensors").unlink()
        save_file(tensors, base / "model.safetensors", {"format": "pt"})
    repo, revision = "kira/other-base", push_folder(base, "kira/other-base", "model", "another base")
    named = {"repo": repo, "revision": revision}
    edit(folder, "adapter_config.json", lambda c: c.update(base_model_name_or_path=repo, revision=revision))
    edit(folder, "recipe.json", lambda r: (r["base"].update(named), r["recipe"].update(base_repo=repo)))
    edit(folder, "metrics.json", lambda m: (m["inputs"].update(base_revision=revision),
                                            m["runs"]["base"].update(model=f"{repo}@{revision}")))
    edit(folder, "manifest.json", lambda m: m["base"].update(
        named | ({"weights": {"model.safetensors": sha256(base / "model.safetensors")}} if weights_too else {})))
    with_card(folder, rows)


def other_dataset(folder: Path, rows: dict, repo: str, revision: str, **recipe) -> None:
    dataset = {"repo": repo, "revision": revision}
    edit(folder, "manifest.json", lambda m: m.update(dataset=dataset))
    edit(folder, "recipe.json", lambda r: (r.update(dataset=dataset), r["recipe"].update(recipe)))
    with_card(folder, rows)


def other_split(folder: Path, run_dir: Path, work: Path, rows: dict) -> None:
    copy = work / "split"
    shutil.copytree(run_dir / "data", copy)
    path = copy / "data" / Path(SPLIT).name
    pq.write_table(pq.read_table(path).slice(1), path)
    other_dataset(folder, rows, "kira/other-split", push_folder(copy, "kira/other-split", "dataset", "a row less"))


def digit(folder: Path, pattern: str) -> None:
    """Changes the last digit of what the pattern's group finds in the card."""
    text = (folder / "README.md").read_text("utf-8")
    at = re.search(pattern, text).end(1) - 1
    reword(folder, text, f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1:]}")


def reword(folder: Path, old: str, new: str) -> None:
    text = (folder / "README.md").read_text("utf-8")
    assert old in text
    (folder / "README.md").write_text(text.replace(old, new, 1), "utf-8")


def cut(folder: Path, begin: str, end: str) -> None:
    text = (folder / "README.md").read_text("utf-8")
    reword(folder, text, text[:text.index(begin)] + text[text.index(end):])


def plot(folder: Path) -> None:
    text = (folder / "loss.svg").read_text("utf-8")
    (folder / "loss.svg").write_text(re.sub(r"points=.([\d.]+),", 'points="1,', text, count=1), "utf-8")


def run(run_dir: Path, work: Path) -> dict:
    rows = {row["id"]: row for row in pq.read_table(run_dir / SPLIT).to_pylist()}
    plain = [{key: row[key] for key in ("id", "question", "answer")} for row in rows.values()]
    write_json_lines(work / "right.jsonl", plain)
    write_json_lines(work / "wrong.jsonl", [*plain[:-1], plain[-1] | {"answer": plain[0]["answer"]}])
    write_json_lines(work / "short.jsonl", plain[1:])
    write_json_lines(work / "bare.jsonl", [{"id": row["id"], "answer": row["answer"]} for row in plain])

    def delta(metrics):
        metrics["deltas"][2]["value"] += 0.01

    def score(folder):
        answers = read_json_lines(folder / "answers.jsonl")
        answers[0]["tuned"]["rouge1"] += 1e-6
        write_json_lines(folder / "answers.jsonl", answers)
        mend(folder)

    lies = {
        "none": lambda f: None,
        "bit of weights": lambda f: flip(f / "adapter_model.safetensors"),
        "bit of answers": lambda f: flip(f / "answers.jsonl"),
        "deleted file": lambda f: (f / "tokenizer.json").unlink(),
        "deleted card": lambda f: (f / "README.md").unlink(),
        "stray file": lambda f: (f / "added_tokens.json").write_text("{}"),
        "uncovered answers": lambda f: edit(f, "manifest.json", lambda m: m["files"].pop("answers.jsonl")),
        "delta": lambda f: edit(f, "metrics.json", delta),
        "delta, shas mended": lambda f: (edit(f, "metrics.json", delta), mend(f)),
        "no deltas, shas mended": lambda f: (edit(f, "metrics.json", lambda m: m.pop("deltas")), mend(f)),
        "score, shas mended": score,
        "card's table": lambda f: digit(f, r"\| rougeL \| [\d.]+ \| ([\d.]+) "),
        "card's interval": lambda f: digit(f, r"\| perplexity \|.*\[[-+\d.]+, ([-+\d.]+)\]"),
        "card's model-index": lambda f: digit(f, r"value: ([\d.]+)\n"),
        "card's retention": lambda f: digit(f, r"erplexity (?:went|there rose) from ([\d.]+) to"),
        "card's safety": lambda f: digit(f, r"\| states numbers or doses that the reference lacks \| ([\d.]+) "),
        "card's slices": lambda f: digit(f, r"\| probe=general \| perplexity \| ([\d.]+) "),
        "card's warning": lambda f: reword(f, "**It is not a doctor.** It", "It"),
        "card's plot": lambda f: reword(f, "](loss.svg)", "](other.svg)"),
        "card's cost": lambda f: digit(f, r"\| training, s \| \d+ \| (\d+) "),
        "card's failure": lambda f: reword(f, "fine-tuned  ", "fine-tuned  Correct: "),
        "card's failures left out": lambda f: cut(f, "## Where it fails", "## Check it"),
        "card's provenance": lambda f: digit(f, r"Adapter: adapter_model.safetensors sha256 `[0-9a-f]*?(\d)[a-f]*`"),
        "mended word": lambda f: reword(f, "clinician judged", "doctor judged"),
        "plot": plot,
        "plot, shas mended": lambda f: (plot(f), mend(f)),
        "card of another Kira": lambda f: (edit(f, "manifest.json", lambda m: m["card"].update(made_by="other")),
                                           digit(f, r"\| training, s \| \d+ \| (\d+) ")),
        "invented answers": lambda f: invented(f, rows),
        "chosen rows": lambda f: with_answers(f, read_json_lines(f / "answers.jsonl")[1:], rows),
        "other base": lambda f: other_base(f, work, rows, weights_too=False),
        "other base and its sha": lambda f: other_base(f, work, rows, weights_too=True),
        "other split": lambda f: other_split(f, run_dir, work, rows),
        "dataset gone": lambda f: other_dataset(f, rows, "kira/gone", "0" * 40),
        "dataset gone, no package": lambda f: other_dataset(f, rows, "kira/gone", "0" * 40, source="jsonl",
                                                            source_location="mine.jsonl"),
        "bfloat16": lambda f: (edit(f, "metrics.json", lambda m: m.update(precision="bfloat16")), with_card(f, rows)),
        "no tag": lambda f: None,
    }
    found = {}
    for number, (lie, tell) in enumerate(lies.items()):
        folder, repo = work / f"copy-{number}", f"kira/lie-{number}"
        shutil.copytree(run_dir / "publication", folder)
        tell(folder)
        sha = push_folder(folder, repo, "model", lie)
        if lie != "no tag":
            HfApi().create_tag(repo, tag="v1", revision=sha)
        found[lie] = verify(repo)
    for name in ("right", "wrong", "short", "bare"):
        found[f"{name} data"] = verify("kira/lie-0", "--data", work / f"{name}.jsonl")
    found["absent data"] = verify("kira/lie-0", "--data", work / "absent.jsonl")
    found["no such repository"] = verify("kira/nothing")
    found["no such revision"] = verify("kira/lie-0", "--revision", "v9")
    found["no rows"] = verify("kira/lie-0", "--rows", 0)
    return found


def verify(*arguments) -> list:
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(io.StringIO()) as errors:
        status = main(["verify", "--rows", "4", *map(str, arguments)])
    return [status, said.getvalue() + "".join(re.findall("(?m)^train_space: .*\n", errors.getvalue()))]


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    print("\n" + json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]))))
