"""Sets what triage's log-odds must exceed, by development.jsonl, from which neither of its two models learnt.

    python -m train_space.triage_thresholds     -> kira/data/triage/thresholds.json

Of the harmless texts there, most of them written to be hard, FALSE_ALARMS may fire by what the two say; the rules,
which were tuned on these texts, are left out.
"""

import numpy as np

from kira import classifier
from kira.triage import by_both, by_words
from train_space.files import read_json_lines, sha256, write_json
from train_space.text_classifier import TEXTS, threshold

FALSE_ALARMS = 0.03


def main() -> int:
    path = TEXTS / "triage" / "development.jsonl"
    linear, rows = classifier.load("triage/classifier"), read_json_lines(path)
    # What the two say together where a text is in Latin letters, and what the classifier says alone where it is not.
    kinds, scores = zip(*(by_both(row["text"], by_words(row["text"])) for row in rows), strict=True)
    labels = np.array([linear.classes.index(row["label"]) for row in rows])
    limits = {}
    for kind in ("linear", "both"):
        which = np.array(kinds) == kind
        found = np.array(scores)[which]
        limits[kind] = round(threshold(found, labels[which], FALSE_ALARMS), 4)
        fired, danger = found[:, 1:].max(1) > limits[kind], labels[which] > 0
        print(f"{kind}: above {limits[kind]} {fired[danger].mean():.3f} of {danger.sum()} dangers, "
              f"{fired[~danger].mean():.3f} of {(~danger).sum()} harmless texts")
    write_json(classifier.FOLDER / "triage" / "thresholds.json", {
        "false_alarms": FALSE_ALARMS, "log_odds": limits, "texts": sha256(path)})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
