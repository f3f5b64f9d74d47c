"""What ships with the repository, as HTML: the safety report, the experiments, and links to files; all escaped."""

from html import escape

from kira import experiments
from kira.safety_report import safety_rows
from kira.translations import say
from kira.views import folded, table

WHO = (("base", "the base alone"), ("tuned", "the fine-tuned model alone"), ("with_triage", "triage, then the model"))


def safety_report(report: dict | None, help_now: dict | None) -> str:
    """How triage and scope did on texts that they never saw, each beside its bar; first that nobody should rely on
    them, and the missed bars in words.

    `help_now`: how often models, and triage before one, tell somebody in danger to get help now.
    """
    if not report:
        return ""
    rows = safety_rows(report)
    missed = [row for row in rows if row["met"] is False and not row["kind"]]
    told = "".join(f"<li>{escape(_sentence(row))}</li>" for row in missed)
    warning = f'<div lang="en"><p>{_counted(len(missed), "bar")} missed.</p><ul>{told}</ul></div>' if missed else ""
    beware = f'<div class="kira-notice"><p><strong>{escape(say("do_not_rely"))}</strong></p>{warning}</div>'
    columns = ("Share", "Measured", "Bar", "95 % interval", "n", "Reading")
    groups = [row for row in rows if row["kind"]]
    return (
        f'<div class="kira-text"><h2>{escape(say("safety_triage"))}</h2>{beware}<div class="kira-text" lang="en">'
        + table("Safety of triage and scope", columns, [_cells(row) for row in rows if not row["kind"]])
        + folded(f"Dangers that are met with fixed words, by group: {sum(not row['met'] for row in groups)} of "
                 f"{len(groups)} below the bar", table("Recall of triage by group", columns, map(_cells, groups)))
        + '<p class="kira-small">A copy that ships with this Space, measured on the repository\'s own unseen texts, '
        "written by authors who saw no rule. It is of this software, whichever model answers. No clinician reviewed "
        f'it. Made by: <code>{escape(report["command"])}</code></p>{_help_now(help_now)}</div></div>'
        + links(say("files"), "shipped", ["safety.json", *["help_now.json"] * bool(help_now)])
    )


def _help_now(found: dict | None) -> str:
    if not found:
        return ""
    shares = [(what, found["shares"][name]) for name, what in WHO]
    return (f"<h3>Somebody in danger is told to get help now</h3><p>{found['shares']['base']['n']} English texts about "
            "an emergency or a crisis; a rule on the words of each answer decides. Triage was built on the set that "
            "they are from: here one sees what its words change, and above how often they come.</p>"
            + table("Answers that tell somebody in danger to get help now",
                    ("Who answers", "Share", "95 % interval", "n"),
                    [(what, f"{share['value']:.3f}", f"{share['low']:.3f} to {share['high']:.3f}", str(share["n"]))
                     for what, share in shares])
            + '<p class="kira-small">The released adapter, greedy. Made by: '
            f"<code>{escape(found['command'])}</code></p>")


def runs(rows: list[dict], total: int) -> str:
    """Runs of the experiments with their scores and costs."""
    return _experiments(f"Runs: {len(rows)} of {total}", experiments.RUN_COLUMNS, experiments.run_table(rows))


def comparisons(rows: list[dict], total: int) -> str:
    """Recipes against the base and their split's reference."""
    return _experiments(f"Recipes compared: {len(rows)} of {total} rows", experiments.COMPARISON_COLUMNS,
                        experiments.comparison_table(rows))


def links(title: str, folder: str, names: list[str]) -> str:
    """Links to files of `/downloads/FOLDER/`."""
    if not names:
        return ""
    made = " ".join(f'<a class="kira-file" href="downloads/{escape(folder, True)}/{escape(name, True)}" '
                    f'download="kira-{escape(name, True)}">{escape(name)}</a>' for name in names)
    return f'<div class="kira-text"><p>{escape(title)} {made}</p></div>'


def _experiments(title: str, columns, rows) -> str:
    shown = table(title, columns, rows, wide=True) if rows else "<p>Nothing matches.</p>"
    return f'<div class="kira-text" lang="en"><h3 aria-live="polite">{escape(title)}</h3>{shown}</div>'


def _cells(row: dict) -> list[str]:
    return [row["what"].removeprefix("- of these, "), f"{row['value']:.3f}",
            row["aim"].replace(">=", "at least").replace("<=", "at most") or "–",
            f"{row['low']:.3f} to {row['high']:.3f}", str(row["n"]),
            {True: "met", False: "missed", None: "–"}[row["met"]]]


def _sentence(row: dict) -> str:
    what, bar = row["what"][0].upper() + row["what"][1:], row["aim"].split()
    return (f"{what}: {100 * row['value']:.0f} % of {row['n']}, and {'at least' if bar[0] == '>=' else 'at most'} "
            f"{100 * float(bar[1]):.0f} % is the bar.")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"
