"""How triage and scope do on texts written by people who never saw their rules: results/safety.json, by code only.

    python -m train_space.safety [--questions FILE ...]

Counts come with Wilson's 95 % interval. `--questions`: parquet or JSON with a column question or input, of which 1,000
that are no emergencies are drawn; every one that fires counts as a false alarm.
"""

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from kira.safety_report import LEAST_RECALL, MOST_FALSE_ALARMS
from kira.scope import decline
from kira.triage import triage
from kira.vocabulary import FILE, Vocabulary
from kira.wilson import wilson
from train_space.files import read_json, read_json_lines, write_json
from train_space.means import with_means
from train_space.safety_bar import REPORT
from train_space.text_classifier import TEXTS

ROOT = Path(__file__).resolve().parent.parent
DRAWN, CALLS = 1000, 1000
SETS = {"adult-positive": "positive", "other-positive": "positive", "lang-positive": "positive",
        "none-negative": "negative", "lang-negative": "negative", "none-everyday": "everyday",
        "none-borderline": "borderline"}


def share(hits: Iterable[bool]) -> dict:
    """{"value", "low", "high", "n"} of a list of yes and no."""
    found = list(hits)
    low, high = wilson(sum(found), len(found))
    return {"value": round(sum(found) / len(found), 4), "low": round(low, 4), "high": round(high, 4), "n": len(found)}


def of_triage(rows: list[dict]) -> dict:
    """Recall (anything fires), labels right, false alarms and borderline texts of a set, with its slices."""
    labelled = [(row, notice.label if (notice := triage(row["text"])) else "none") for row in rows]
    parts = defaultdict(list)
    for row, label in labelled:
        parts[SETS[row["set"]]].append((row, label))
    positive = parts["positive"]
    slices = defaultdict(list)
    for row, label in positive:
        slices[f"label={row['label']}"].append(label != "none")
        slices[f"variant={row['variant']}"].append(label != "none")
        slices[f"lang={row['lang']}"].append(label != "none")
        if row["lang"] != "en":
            slices["multilingual"].append(label != "none")
        if "method" in row:
            slices[f"crisis method={'named' if row['method'] else 'not named'}"].append(label != "none")
        if row.get("method") is False:
            slices["crisis method=not named, then added"] += [bool(triage(text)) for text in with_means(row)]
    return {
        "recall": share(label != "none" for _, label in positive),
        "label_right": share(label == row["label"] for row, label in positive),
        "recall_by": {name: share(hits) for name, hits in sorted(slices.items())},
        "false_alarms": share(label != "none" for _, label in parts["negative"]),
        "false_alarms_everyday": share(label != "none" for _, label in parts["everyday"]),
        "borderline_right": share((label != "none") == (row["label"] != "none") for row, label in parts["borderline"]),
    }


def of_plain(rows: list[dict]) -> dict:
    """Recall and false alarms on texts that are not written to be hard."""
    fired = [(row["label"] != "none", triage(row["text"]) is not None) for row in rows]
    return {"recall": share(hit for danger, hit in fired if danger),
            "false_alarms": share(hit for danger, hit in fired if not danger)}


def of_scope(rows: list[dict], vocabulary: Vocabulary) -> dict:
    """Share declined of each kind that should be, and of questions that should be answered."""
    declined = defaultdict(list)
    for row in rows:
        declined[row["label"]].append(decline(row["text"], vocabulary) is not None)
    return {"declined": {kind: share(hits) for kind, hits in sorted(declined.items()) if kind != "answer"},
            "over_refusal": share(declined["answer"])}


def questions(paths: list[Path]) -> list[str]:
    """DRAWN questions of the files, the same ones each time."""
    import pandas

    found = []
    for path in paths:
        table = pandas.read_parquet(path) if path.suffix == ".parquet" else pandas.read_json(path)
        found += table["question" if "question" in table else "input"].dropna().drop_duplicates().tolist()
    return random.Random(42).sample(found, DRAWN)


def main(arguments: list[str] | None = None) -> int:
    """Measures, writes the report and prints what falls short of its bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=Path, nargs="+", default=[])
    options = parser.parse_args(arguments)
    vocabulary = Vocabulary.from_json(read_json(ROOT / "release" / FILE))
    report = {"command": "python -m train_space.safety", "triage": {}, "scope": {}}
    report["triage"]["unseen"] = of_triage(read_json_lines(TEXTS / "triage" / "unseen.jsonl"))
    report["triage"]["plain"] = of_plain(read_json_lines(TEXTS / "triage" / "plain_unseen.jsonl"))
    for part in ("development", "unseen"):
        report["scope"][part] = of_scope(read_json_lines(TEXTS / "scope" / f"{part}.jsonl"), vocabulary)
    texts = [row["text"] for row in read_json_lines(TEXTS / "triage" / "unseen.jsonl")]
    torch.set_num_threads(1)
    with ThreadPoolExecutor(2) as pool:  # on two cores two at a time, as in the Space's queue (kira/lines.py)
        start = time.perf_counter()
        list(pool.map(triage, (texts[i % len(texts)] for i in range(CALLS))))
    report["seconds_per_1000_calls"] = round((time.perf_counter() - start) * 1000 / CALLS, 2)
    if options.questions:
        asked = questions(options.questions)
        report["triage"]["false_alarms_questions"] = share(triage(text) is not None for text in asked)
        report["scope"]["over_refusal_questions"] = share(decline(text, vocabulary) is not None for text in asked)
    elif REPORT.is_file():  # the files are not everywhere
        kept = read_json(REPORT)
        report["triage"] |= {k: v for k, v in kept["triage"].items() if k.startswith("false_alarms_questions")}
        report["scope"] |= {k: v for k, v in kept["scope"].items() if k.startswith("over_refusal_questions")}
    write_json(REPORT, report)
    unseen = report["triage"]["unseen"]
    if unseen["recall"]["value"] < LEAST_RECALL or unseen["false_alarms"]["value"] > MOST_FALSE_ALARMS:
        print(f"Below the bar: recall {unseen['recall']['value']} of {LEAST_RECALL}, false alarms "
              f"{unseen['false_alarms']['value']} of {MOST_FALSE_ALARMS}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
