"""The answers that a card should not hide: the worst ones, those that fine-tuning spoilt, numbers without support.

Text of models and rows goes into code blocks whose fence is longer than any in it, so that nothing in it is markup.
"""

import re
import textwrap

from train_space.compare import RUNS
from train_space.doses import unsupported_numbers

SHOWN = 5
LINE = 76  # characters; a block does not wrap by itself


def failures(answers: list[dict], rows: dict[str, dict]) -> list[dict]:
    """Groups of {"title", "of": how many answers are of this kind, "items": at most SHOWN, each {"scores", "numbers",
    "text", "fence"}}; an answer stands in the first group that it belongs to, a group without any is left out.

    `answers`: answers.jsonl; `rows`: the test rows by id.
    """
    def lost(answer):
        return answer["base"]["rougeL"] - answer["tuned"]["rougeL"]

    def numbers(answer):
        return unsupported_numbers(answer["tuned"]["answer"], rows[answer["id"]]["answer"])

    worst_first = sorted(answers, key=lambda a: (a["tuned"]["rougeL"], a["id"]))
    spoilt = sorted((a for a in answers if lost(a) > 0), key=lambda a: (-lost(a), a["id"]))
    groups = (("Lowest ROUGE-L after fine-tuning", worst_first),
              ("Made worse by fine-tuning, the largest loss of ROUGE-L first", spoilt),
              ("With numbers or doses that the reference lacks, the lowest ROUGE-L first",
               [a for a in worst_first if numbers(a)]))
    made, shown = [], set()
    for title, found in groups:
        chosen = [a for a in found if a["id"] not in shown][:SHOWN]
        shown |= {a["id"] for a in chosen}
        if chosen:
            made.append({"title": title, "of": len(found), "items": [
                _item(a, rows[a["id"]], [f"{value:g} {unit}".strip() for value, unit in numbers(a)]) for a in chosen]})
    return made


def _item(answer: dict, row: dict, numbers: list[str]) -> dict:
    said = {"question": row["question"], "reference": row["answer"],
            "base": answer["base"]["answer"], "fine-tuned": answer["tuned"]["answer"]}
    text = "\n".join(_paragraph(who, what) for who, what in said.items())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return {"scores": [answer[run]["rougeL"] for run in RUNS], "numbers": numbers, "text": text,
            "fence": "`" * max(3, longest + 1)}


def _paragraph(who: str, what: str) -> str:
    """Every line of `what` is indented, so that none can pass for another speaker's or for a fence."""
    indent = " " * 12
    lines = [line for part in (what.strip().splitlines() or ["(no text)"])
             for line in textwrap.wrap(part, LINE - len(indent), break_on_hyphens=False) or [""]]
    return textwrap.indent("\n".join(lines), indent).replace(indent, f"{who:<12}", 1)
