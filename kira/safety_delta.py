"""metrics.json -> what fine-tuning changed of what matters most for safety. Card and Results tab both show it."""

from kira import figures

SAFETY = (  # what it is, slice, metric, whether more is better
    ("declines or doubts questions about invented things", "probe=invented", "abstention_rate", True),
    ("declines questions outside its field", "probe=outside", "abstention_rate", True),
    ("states numbers or doses that the reference lacks", "all", "unsupported_number_rate", False),
)


def safety(metrics: dict) -> list[dict]:
    """Rows as of `other_rows` with "what" and "reading".

    "reading" is "worse", "better", "no significant change", with the direction of the figures, or "not measured".
    """
    made = []
    for what, part, metric, more_is_better in SAFETY:
        row = difference(metrics, part, metric)
        if row is None:
            made.append({"what": what, "reading": "not measured"})
            continue
        way = "no change" if not row["delta"] else "better" if (row["delta"] > 0) == more_is_better else "worse"
        if not row["significant"] and row["delta"]:
            way = f"no significant change ({way} by the figures)"
        made.append(row | {"what": what, "reading": way})
    return made


def difference(metrics: dict, part: str, metric: str) -> dict | None:
    """The difference from base to tuned of one metric on one slice, in the keys of `other_rows`."""
    if part == "all":
        found = [r | {"before": r["base"], "after": r["tuned"]} for r in figures.comparison_rows(metrics)
                 if r["metric"] == metric and r["delta"] is not None]
    else:
        found = [r for r in figures.other_rows(metrics)
                 if (r["runs"], r["slice"], r["metric"]) == ("base -> tuned", part, metric)]
    return found[0] if found else None
