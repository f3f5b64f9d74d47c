"""Sets what triage's log-odds must exceed, by development.jsonl, from which neither of its two models learnt.

    python -m train_space.triage_thresholds     -> kira/data/triage/thresholds.json

Of the harmless texts there, most of them written to be hard, FALSE_ALARMS may fire by what the two say; the rules,
which were tuned on these texts, are left out.
"""

import numpy as np

from kira import classifier, encoder
from kira.triage import LINEAR, MOST_WINDOWS
from train_space.files import read_json_lines, sha256, write_json
from train_space.text_classifier import TEXTS, threshold

FALSE_ALARMS = 0.03


def main() -> int:
    path = TEXTS / "triage" / "development.jsonl"
    linear, reader = classifier.load("triage/classifier"), encoder.load("triage/encoder")
    rows, scores = read_json_lines(path), {"linear": [], "both": []}
    for row in rows:
        parts = classifier.windows(row["text"])
        found = np.array([linear.scores(part) for part in parts])
        scores["linear"].append(found[found[:, 1:].max(1).argmax()])
        chosen = np.sort(np.argsort(-found[:, 1:].max(1), kind="stable")[:MOST_WINDOWS])
        found = reader.scores([parts[i] for i in chosen]) + LINEAR * found[chosen]
        scores["both"].append(found[found[:, 1:].max(1).argmax()])
    labels = np.array([linear.classes.index(row["label"]) for row in rows])
    latin = np.array([encoder.is_latin(row["text"]) for row in rows])
    limits = {}
    for kind, which in (("linear", ~latin), ("both", latin)):
        found = np.array(scores[kind])[which]
        limits[kind] = round(threshold(found, labels[which], FALSE_ALARMS), 4)
        fired, danger = found[:, 1:].max(1) > limits[kind], labels[which] > 0
        print(f"{kind}: above {limits[kind]} {fired[danger].mean():.3f} of {danger.sum()} dangers, "
              f"{fired[~danger].mean():.3f} of {(~danger).sum()} harmless texts")
    write_json(classifier.FOLDER / "triage" / "thresholds.json", {
        "false_alarms": FALSE_ALARMS, "log_odds": limits, "texts": sha256(path)})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
