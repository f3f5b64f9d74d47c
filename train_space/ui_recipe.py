"""The recipe as a form: the fields that a visitor may change, in the recipe's own words, with this page's limits."""

import dataclasses
import os
from pathlib import Path

import gradio as gr
import yaml

from kira.errors import UserError
from train_space import recipe as recipes
from train_space.recipe import Recipe

# Field: its label, and the largest value that this page takes (None: the recipe's own limits).
MAIN = {"epochs": ("Epochs", 10.0), "learning_rate": ("Learning rate", 0.1), "sample_rows": ("Rows at most", 20_000)}
MORE = {"max_answer_words": ("Words of an answer at most", 2000), "train_rows": ("Training rows", 20_000),
        "test_rows": ("Test rows", 2000), "lora_r": ("LoRA rank", 128), "lora_alpha": ("LoRA alpha", 512),
        "batch_size": ("Rows of a batch", 128), "gradient_accumulation_steps": ("Batches of a step", 64),
        "max_length": ("Tokens of a row at most", 2048), "eval_steps": ("Steps between validations", 1000),
        "generation_probe_rows": ("Validation rows answered while training", 64),
        "max_new_tokens": ("Tokens of a generated answer at most", 512), "seed": ("Seed", None)}
FIELDS = {f.name: f for f in dataclasses.fields(Recipe)}


def preset() -> Recipe:
    """Where the form starts: the recipe for GPUs where there is one, else the one for a laptop's CPU.

    `deploy` names the base of the run that it serves, because that of a laptop is on no Hub but a laptop's.
    """
    import torch

    start = recipes.load("tuned" if torch.cuda.is_available() else "embedded")
    base = os.environ.get("KIRA_BASE_REPO") or start.base_repo
    if base != start.base_repo:
        start = dataclasses.replace(start, base_repo=base, base_licence="")
    # The visitor's adapter is no release of Kira's; while triage is below its bar, the card begins with that.
    return dataclasses.replace(start, publish_below_safety_bar=True)


def controls(names: dict, start: Recipe) -> list:
    """A number box for each field, in the order of `names`."""
    made = []
    for name, (label, most) in names.items():
        f = FIELDS[name]
        made.append(gr.Number(getattr(start, name), label=label, info=f.metadata["doc"],
                              precision=0 if f.type is int else None, minimum=f.metadata["minimum"],
                              maximum=most or f.metadata["maximum"], min_width=220))
    return made


def build(owner: str, run_name: str, start: Recipe, values: list, source: dict) -> Recipe:
    """The recipe that the form says; `source`: its fields about base and rows. Raises UserError.

    The page's limits hold here too, because a program can send what the form would not.
    """
    fields = MAIN | MORE
    changes = dict(source)
    for (name, (label, most)), value in zip(fields.items(), values, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{label} takes a number.")
        if most is not None and value > most:
            raise UserError(f"{label} takes at most {most:,} here.")
        changes[name] = int(value) if FIELDS[name].type is int and value == int(value) else value
    run_name = run_name.strip()
    if not 1 <= len(run_name) <= 60 or set(run_name) - set("abcdefghijklmnopqrstuvwxyz0123456789-"):
        raise UserError("The name takes 1 to 60 lower-case letters, digits and '-'.")
    if run_name.startswith("-") or run_name.endswith("-") or "--" in run_name:
        raise UserError("The name takes '-' only between letters or digits.")
    changes |= {"name": run_name, "adapter_repo": f"{owner}/{run_name}-lora",
                "dataset_repo": f"{owner}/{run_name}-split"}
    return dataclasses.replace(start, **changes)


def write(recipe: Recipe, path: Path) -> None:
    """The recipe as the YAML that the command line reads."""
    path.write_text(yaml.safe_dump(recipes.as_dict(recipe), sort_keys=False, allow_unicode=True), "utf-8")
