"""Scored answers to metrics and differences: a pure function, so anyone can recompute what is published.

    references = [texts[a["id"]] for a in answers]                  # answers: read_json_lines(answers.jsonl)
    compare(answers, references, resamples, seed, probe_answers)    # probe_answers.jsonl, where there is one

Every metric is a function of sums over rows of the quantities that `_quantities` and its like make of one row, which
is what `statistics` resamples.
"""

import math
from dataclasses import dataclass

import numpy as np

from train_space import choices
from train_space.abstention import abstains
from train_space.statistics import holm, paired_differences

RUNS = ("base", "tuned")
OVERLAP = ("rouge1", "rouge2", "rougeL", "token_f1")
LEAST_ROWS_OF_A_SLICE = 10


def _mean(name: str):
    return lambda s: s[name] / s["rows"]


SURPRISE = {
    "perplexity": lambda s: np.exp(s["nll"] / s["reference_tokens"]),
    "bits_per_byte": lambda s: s["nll"] / math.log(2) / s["reference_bytes"],
}
CORE = {
    **{name: _mean(name) for name in OVERLAP},
    **SURPRISE,
    "length_ratio": lambda s: s["words"] / s["reference_words"],
    "stop_rate": _mean("stopped"),
    "repetition_rate": _mean("repetition"),
}
CONTROL = {"rougeL_equal_length": _mean("rougeL_equal_length"),
           "unsupported_number_rate": _mean("unsupported_number")}
OF_SLICES = {name: CORE[name] for name in ("rougeL", "perplexity")}
OF_RETENTION = {"perplexity": SURPRISE["perplexity"],
                **{name: choices.METRICS[name] for name in ("choice_accuracy", "choice_accuracy_norm")}}
OF_TWO_SHOT = {name: CORE[name] for name in ("rougeL", "perplexity", "length_ratio")}


@dataclass(frozen=True)
class Contrast:
    """Two runs over the same rows: `before` and `after` hold one dictionary of quantities a row each."""

    runs: tuple[str, str]
    slice: str
    metrics: dict
    before: list[dict]
    after: list[dict]


def compare(answers: list[dict], references: list[str], resamples: int, seed: int, probes: list[dict] = ()) -> dict:
    """{"runs": {run: {"n", "metrics", "slices"}}, "deltas": [...]} and, where there are items, "choices".

    `answers`: what evaluate.scored_answers returns; `references`: the rows' answers in the same order; `probes`: what
    probing.scored_answers returns. A run's figures over all rows that it has are its "metrics"; "slices" has those over
    some rows or over probes. `p_holm` corrects for all deltas together.
    """
    contrasts = _contrasts(answers, references, probes)
    runs, deltas = {}, []
    for contrast in contrasts:
        deltas += _measured(contrast, runs, resamples, seed)
    for delta, corrected in zip(deltas, holm([d["p"] for d in deltas]), strict=True):
        delta["p_holm"] = corrected
    items = sum("choices" in a for a in answers)
    return {"runs": runs, "deltas": deltas,
            **({"choices": {"n": items, "options": choices.OPTIONS, "chance": choices.CHANCE}} if items else {})}


def _contrasts(answers, references, probes) -> list[Contrast]:
    tables = {run: _quantities(answers, references, run) for run in RUNS}
    equal = _equal_length(answers, references)
    for run in RUNS:
        for row, more in zip(tables[run], equal[run], strict=True):
            row.update(more)
    made = [Contrast(RUNS, "all", CORE | CONTROL, tables["base"], tables["tuned"])]
    items = [a for a in answers if "choices" in a]
    made.append(Contrast(RUNS, "all", choices.METRICS, *(_choice_quantities(items, run) for run in RUNS)))
    sampled = [a for a in answers if "samples" in a["base"]]
    made.append(Contrast(RUNS, "all", {"agreement": _mean("agreement")}, *(_agreement(sampled, run) for run in RUNS)))

    shown = [i for i, a in enumerate(answers) if "base_two_shot" in a]
    two_shot = _quantities([answers[i] for i in shown], [references[i] for i in shown], "base_two_shot")
    made.append(Contrast(("base_two_shot", "tuned"), "all", OF_TWO_SHOT, two_shot,
                         [tables["tuned"][i] for i in shown]))
    for key in ("type", "source"):
        for value in sorted({a.get(key, "") for a in answers} - {""}):
            rows = [i for i, a in enumerate(answers) if a.get(key) == value]
            if LEAST_ROWS_OF_A_SLICE <= len(rows) < len(answers):
                made.append(Contrast(RUNS, f"{key}={value}", OF_SLICES,
                                     *([tables[run][i] for i in rows] for run in RUNS)))
    of = {probe: [a for a in probes if a["probe"] == probe] for probe in ("general", "invented", "outside")}
    made.append(Contrast(RUNS, "probe=general", OF_RETENTION, *(_retention(of["general"], run) for run in RUNS)))
    for probe in ("invented", "outside"):
        made.append(Contrast(RUNS, f"probe={probe}", {"abstention_rate": _mean("abstained")},
                             *([{"rows": 1, "abstained": abstains(a[run]["answer"])} for a in of[probe]]
                               for run in RUNS)))
    return [contrast for contrast in made if contrast.before]


def _measured(contrast: Contrast, runs: dict, resamples: int, seed: int) -> list[dict]:
    """Adds the contrast's values to `runs`; returns its deltas, without Holm's correction."""
    names = list(contrast.before[0])
    before, after = (np.array([[row[n] for n in names] for row in side], dtype=float)
                     for side in (contrast.before, contrast.after))

    def of_sums(metric):
        return lambda sums: metric({name: sums[..., i] for i, name in enumerate(names)})

    metrics = {name: of_sums(metric) for name, metric in contrast.metrics.items()}
    for run, columns in zip(contrast.runs, (before, after), strict=True):
        kept = runs.setdefault(run, {"n": len(columns), "metrics": {}, "slices": {}})
        place = kept["metrics"] if contrast.slice == "all" else kept["slices"].setdefault(contrast.slice, {})
        for name, metric in metrics.items():
            place.setdefault(name, float(metric(columns.sum(0))))  # tuned beside two-shot: its figure on all rows stays
    found = paired_differences(before, after, metrics, resamples, seed)
    for name, column in (("choice_accuracy", "right"), ("choice_accuracy_norm", "right_norm")):
        if name in found:
            found[name]["p"] = choices.mcnemar([row[column] for row in contrast.before],
                                               [row[column] for row in contrast.after])
    return [{"from": contrast.runs[0], "to": contrast.runs[1], "metric": name, "slice": contrast.slice,
             "n": len(before), "seeds": [seed], **difference} for name, difference in found.items()]


def _quantities(answers, references, run) -> list[dict]:
    from train_space.answer_overlap import repetition_rate
    from train_space.doses import unsupported_numbers

    return [
        {**{name: a[run][name] for name in OVERLAP}, "rows": 1, "nll": a[run]["nll"],
         "reference_tokens": a["reference_tokens"], "reference_bytes": a["reference_bytes"],
         "words": len(a[run]["answer"].split()), "reference_words": len(reference.split()),
         "stopped": a[run]["stopped"], "repetition": repetition_rate(a[run]["answer"]),
         "unsupported_number": bool(unsupported_numbers(a[run]["answer"], reference))}
        for a, reference in zip(answers, references, strict=True)
    ]


def _equal_length(answers, references) -> dict[str, list[dict]]:
    """ROUGE-L of both runs' answers cut to the words of the shorter one, at least one: a gain by length is gone."""
    from train_space.answer_overlap import first_words, rouge_l

    shortest = [max(1, min(len(a[run]["answer"].split()) for run in RUNS)) for a in answers]
    cut = {run: [first_words(a[run]["answer"], n) for a, n in zip(answers, shortest, strict=True)] for run in RUNS}
    return {run: [{"rougeL_equal_length": score} for score in rouge_l(cut[run], references)] for run in RUNS}


def _choice_quantities(items, run) -> list[dict]:
    return [choices.quantities(a[run]["option_nll"], a["choices"]["bytes"], a["choices"]["correct"]) for a in items]


def _retention(probes, run) -> list[dict]:
    return [{**quantities, "nll": a[run]["nll"], "reference_tokens": a["reference_tokens"]}
            for a, quantities in zip(probes, _choice_quantities(probes, run), strict=True)]


def _agreement(sampled, run) -> list[dict]:
    from train_space.answer_overlap import agreement

    return [{"rows": 1, "agreement": agreement(a[run]["samples"])} for a in sampled]
