"""The base with two examples before each question: how much of the gain would a longer prompt have brought?"""

from os.path import commonprefix
from statistics import median

from train_space.generation import prompt_and_target


def examples(train_rows: list[dict], types: set[str]) -> dict[str, list[dict]]:
    """{type: two rows of the training split}: of that type where it has two, with answers nearest to its median length.

    Length in words; ties fall to the smaller id. Fixed: no seed, the same for every question of a type.
    """
    chosen = {}
    for kind in sorted(types):
        own = [row for row in train_rows if row.get("type", "") == kind]
        pool = own if len(own) >= 2 else train_rows
        lengths = {row["id"]: len(row["answer"].split()) for row in pool}
        middle = median(lengths.values())
        chosen[kind] = sorted(pool, key=lambda row: (abs(lengths[row["id"]] - middle), row["id"]))[:2]
    return chosen


def prompts_and_targets(model, tokenizer, rows: list[dict], shown: dict[str, list[dict]]) -> list:
    """(prompt, target, number of its tokens that the prompts of its type share) of each row."""
    made = []
    for row in rows:
        history = [turn for example in shown[row.get("type", "")] for turn in (
            {"role": "user", "content": example["question"]}, {"role": "assistant", "content": example["answer"]})]
        made.append(prompt_and_target(model, tokenizer, row["question"], row["answer"], history))
    shared = {kind: len(commonprefix([prompt for row, (prompt, _) in zip(rows, made, strict=True)
                                      if row.get("type", "") == kind])) for kind in shown}
    return [(*pair, shared[row.get("type", "")]) for row, pair in zip(rows, made, strict=True)]
