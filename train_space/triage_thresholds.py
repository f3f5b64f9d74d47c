"""Sets what triage's log-odds must exceed, by held_out.jsonl, from which neither of its two models learnt.

    python -m train_space.triage_thresholds     -> kira/data/triage/thresholds.json

By what the two say, without rules, FALSE_ALARMS of the harmless texts there may be taken for an emergency, and as many
for a crisis. With rules, 21 of these 1,910 texts fired, most of them written to be hard, and 6 of 1,392 dangers did
not; with shares of 0.003, 0.0075 and 0.012 it was 13, 29 and 47, and 7, 6 and 5.
"""

import numpy as np

from kira import classifier
from kira.triage import by_both, by_words
from train_space.files import read_json_lines, sha256, write_json
from train_space.text_classifier import TEXTS, threshold

FALSE_ALARMS = 0.005


def main() -> int:
    path = TEXTS / "triage" / "held_out.jsonl"
    linear, rows = classifier.load("triage/classifier"), read_json_lines(path)
    labels = np.array([linear.classes.index(row["label"]) for row in rows])
    words = [by_words(row["text"]) for row in rows]
    read = [by_both(row["text"], found)[1] for row, found in zip(rows, words, strict=True)]
    limits = {}
    for kind, scores in (("linear", np.array(words)), ("both", np.array(read))):
        limits[kind] = {name: round(threshold(scores[:, [0, i]], labels, FALSE_ALARMS), 4)
                        for i, name in enumerate(linear.classes) if i}
        fired = (scores[:, 1:] > list(limits[kind].values())).any(1)
        print(f"{kind}: above {limits[kind]}", *(
            f"{fired[labels == i].mean():.4f} of {sum(labels == i)} {name}" for i, name in enumerate(linear.classes)))
    write_json(classifier.FOLDER / "triage" / "thresholds.json", {
        "false_alarms": FALSE_ALARMS, "log_odds": limits, "texts": sha256(path)})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
