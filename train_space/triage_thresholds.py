"""Sets what triage's log-odds must exceed, by held_out.jsonl, from which neither of its two models learnt.

    python -m train_space.triage_thresholds     -> kira/data/triage/thresholds.json

Of the harmless texts there, most of them written to be hard, FALSE_ALARMS may fire by what the two say, without rules.
With 0.5, 1 and 1.5 % of them 98.5, 99.2 and 99.5 % of its dangers fire.
"""

import numpy as np

from kira import classifier
from kira.triage import by_both, by_words
from train_space.files import read_json_lines, sha256, write_json
from train_space.text_classifier import TEXTS, threshold

FALSE_ALARMS = 0.01


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
