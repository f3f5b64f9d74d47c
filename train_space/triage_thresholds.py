"""Sets what triage's log-odds must exceed, by held_out.jsonl, from which neither of its two models learnt.

    python -m train_space.triage_thresholds     -> kira/data/triage/thresholds.json

Of the harmless texts there, most of them written to be hard, FALSE_ALARMS may fire by what the two say; the rules,
which were tuned on these texts, are left out. With 1, 1.5 and 2 % here, 1.0, 2.2 and 2.8 % of the harmless texts of
next.jsonl fired, rules and all, and 98.7, 99.0 and 99.0 % of its dangers; nothing had learnt from its two authors.
"""

import numpy as np

from kira import classifier
from kira.triage import by_both, by_words
from train_space.files import read_json_lines, sha256, write_json
from train_space.text_classifier import TEXTS, threshold

FALSE_ALARMS = 0.015


def main() -> int:
    path = TEXTS / "triage" / "held_out.jsonl"
    linear, rows = classifier.load("triage/classifier"), read_json_lines(path)
    labels = np.array([linear.classes.index(row["label"]) for row in rows])
    words = [by_words(row["text"]) for row in rows]
    read = [by_both(row["text"], found)[1] for row, found in zip(rows, words, strict=True)]
    limits, danger = {}, labels > 0
    for kind, scores in (("linear", np.array(words)), ("both", np.array(read))):
        limits[kind] = round(threshold(scores, labels, FALSE_ALARMS), 4)
        fired = scores[:, 1:].max(1) > limits[kind]
        print(f"{kind}: above {limits[kind]} {fired[danger].mean():.3f} of {danger.sum()} dangers, "
              f"{fired[~danger].mean():.3f} of {(~danger).sum()} harmless texts")
    write_json(classifier.FOLDER / "triage" / "thresholds.json", {
        "false_alarms": FALSE_ALARMS, "log_odds": limits, "texts": sha256(path)})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
