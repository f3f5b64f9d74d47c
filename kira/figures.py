"""metrics.json and its companions -> the tables and curves that people see.

Pure: no Gradio, no network. Card, CSV, Results tab and `/results` all show `comparison_rows`, so they cannot differ.
"""

MEANING = {
    "rouge1": ("ROUGE-1", "words shared with the reference answer, 0 to 1; higher is closer"),
    "rouge2": ("ROUGE-2", "pairs of neighbouring words shared with the reference, 0 to 1; higher is closer"),
    "rougeL": ("ROUGE-L", "longest run of words in the same order as the reference, 0 to 1; higher is closer"),
    "token_f1": ("Token F1", "balance of words found and words added against the reference, 0 to 1; higher is closer"),
    "perplexity": ("Perplexity", "how surprised the model is by the reference answer; lower is better"),
    "bits_per_byte": ("Bits per byte", "the same surprise, independent of the tokenizer; lower is better"),
    "length_ratio": ("Length ratio", "words written for each word of the reference; 1 means the same length"),
    "stop_rate": ("Stop rate", "share of answers that end by themselves before the length limit; higher is better"),
    "repetition_rate": ("Repetition rate", "share of word sequences that an answer repeats; lower is better"),
    "rougeL_equal_length": ("ROUGE-L, equal length", "ROUGE-L after both answers are cut to the shorter one's words; "
                            "higher is closer, and length alone gains nothing"),
    "unsupported_number_rate": ("Unsupported numbers", "share of answers with a number or dose that the reference "
                                "lacks; lower is better"),
    "choice_accuracy": ("Choice accuracy", "how often the right answer of four is the likeliest, 0 to 1; chance is "
                        "0.25"),
    "choice_accuracy_norm": ("Choice accuracy per byte", "the same by likelihood per byte, so that short answers have "
                             "no advantage; chance is 0.25"),
    "ece": ("Calibration error", "gap between confidence and accuracy over the four answers (ECE, ten bins); lower is "
            "better"),
    "agreement": ("Self-agreement", "mean ROUGE-L between three sampled answers to one question; 1 is always the "
                  "same"),
    "abstention_rate": ("Abstention rate", "share of answers that say so when they do not know or should not answer"),
}
COMPARISON_COLUMNS = ("Metric", "Base", "Fine-tuned", "Difference", "95 % interval", "n", "Reading")


def comparison_rows(metrics: dict) -> list[dict]:
    """One row per metric of base against tuned over all test rows, in the order of metrics.json.

    Keys: metric, base, tuned, delta, low, high, p, p_holm, n, significant (see `is_significant`). Values are
    unrounded; what metrics.json does not hold is None, and `significant` is then False.
    """
    base, tuned = (metrics["runs"][run] for run in ("base", "tuned"))
    deltas = {
        d["metric"]: d
        for d in metrics.get("deltas", [])
        if (d["from"], d["to"], d.get("slice", "all")) == ("base", "tuned", "all")
    }
    rows = []
    for name, value in tuned["metrics"].items():
        delta = deltas.get(name, {})
        low, high = delta.get("low"), delta.get("high")
        rows.append({
            "metric": name, "base": base["metrics"].get(name), "tuned": value, "delta": delta.get("value"),
            "low": low, "high": high, "p": delta.get("p"), "p_holm": delta.get("p_holm"),
            "n": delta.get("n", tuned["n"]),
            "significant": is_significant(delta),
        })
    return rows


def other_rows(metrics: dict) -> list[dict]:
    """One row per difference that `comparison_rows` leaves out: slices, probes, other runs.

    Keys: runs ("from -> to"), slice, metric, before, after, delta, low, high, p_holm, n, significant.
    """
    rows = []
    for d in metrics.get("deltas", []):
        if (d["from"], d["to"], d["slice"]) == ("base", "tuned", "all"):
            continue
        run = metrics["runs"][d["from"]]
        before = (run["metrics"] if d["slice"] == "all" else run["slices"][d["slice"]])[d["metric"]]
        rows.append({"runs": f"{d['from']} -> {d['to']}", "slice": d["slice"], "metric": d["metric"], "before": before,
                     "after": before + d["value"], "delta": d["value"], "low": d["low"], "high": d["high"],
                     "p_holm": d["p_holm"], "n": d["n"], "significant": is_significant(d)})
    return rows


def is_significant(delta: dict) -> bool:
    """The interval excludes 0, and p corrected for all differences, where it is told, is below 0.05."""
    low, high, p = delta.get("low"), delta.get("high"), delta.get("p_holm")
    return low is not None and high is not None and (low > 0 or high < 0) and (p is None or p < 0.05)


def label(metric: str) -> str:
    """The name that a person reads; an unknown metric keeps its key."""
    return MEANING.get(metric, (metric,))[0]


def number(value, signed: bool = False) -> str:
    """A figure for a table: three decimals, two from 10 on, and a dash for none."""
    if value is None:
        return "–"
    text = f"{value:{'+' if signed else ''}.{2 if abs(value) >= 10 else 3}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def interval(row: dict) -> str:
    """The 95 % interval of a `comparison_rows` row as text."""
    return "–" if row["low"] is None else f"{number(row['low'], True)} to {number(row['high'], True)}"


def comparison_table(metrics: dict) -> list[list[str]]:
    """`comparison_rows` as text under COMPARISON_COLUMNS."""
    return [
        [label(r["metric"]), number(r["base"]), number(r["tuned"]), number(r["delta"], True), interval(r), str(r["n"]),
         "changed" if r["significant"] else "no significant change"]
        for r in comparison_rows(metrics)
    ]


def delta_points(metrics: dict) -> list[dict]:
    """Differences on one scale for a plot: each as per cent of the base's own figure, with its interval.

    Metrics live on scales from 0..1 to perplexities of 20; a row without a delta or with a base of 0 is left out.
    """
    points = []
    for r in comparison_rows(metrics):
        if r["delta"] is None or not r["base"]:
            continue
        scale = 100 / abs(r["base"])
        points.append({"metric": label(r["metric"]), "change": r["delta"] * scale, "low": r["low"] * scale,
                       "high": r["high"] * scale, "significant": r["significant"]})
    return points


def loss_points(log: list[dict]) -> list[dict]:
    """{"step", "value", "series"} of a training log, training and validation as two series."""
    return [*_points(log, "loss", "training"), *_points(log, "eval_loss", "validation")]


def _points(log: list[dict], key: str, series: str) -> list[dict]:
    return [{"step": line["step"], "value": line[key], "series": series} for line in log if key in line]


def probe_points(log: list[dict]) -> list[dict]:
    """{"step", "n", metric: value} of each time that validation rows were answered during training, names as MEANING's.
    """
    return [
        {"step": line["step"], **{key.removeprefix("probe_"): value for key, value in line.items()
                                  if key.startswith("probe_")}}
        for line in log
        if "probe_rougeL" in line
    ]


def answer_rows(answers: list[dict], rows: dict[str, dict]) -> list[dict]:
    """answers.jsonl joined with the dataset's test rows by id; an answer whose row is not there is left out."""
    return [
        {**{k: rows[a["id"]].get(k) or "" for k in ("question", "topic", "source", "url")},
         "reference": rows[a["id"]]["answer"], "references": list(rows[a["id"]].get("references") or ()),
         "id": a["id"], "type": a["type"], "base": a["base"], "tuned": a["tuned"]}
        for a in answers
        if a["id"] in rows
    ]


def matching_answers(answers: list[dict], text: str = "", kind: str = "") -> list[dict]:
    """Those of `answer_rows` of this type whose question, reference or answers hold `text`, case aside."""
    wanted = text.strip().casefold()
    return [
        a for a in answers
        if kind in ("", a["type"]) and wanted in "\n".join(
            (a["question"], a["reference"], a["base"]["answer"], a["tuned"]["answer"])).casefold()
    ]
