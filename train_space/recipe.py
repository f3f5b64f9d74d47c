"""One validated dataclass that says everything a run depends on; every field is documented in place.

Presets are the YAML files of recipes/; a run dumps its recipe beside its results.
"""

import dataclasses
import math
from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml

from kira.errors import UserError

PRESETS = Path(__file__).resolve().parent.parent / "recipes"
SOURCES = ("flashcards", "medquad", "hpo", "jsonl")


def _field(default, doc, *, minimum=None, maximum=None, choices=None):
    return field(default=default, metadata={"doc": doc, "minimum": minimum, "maximum": maximum, "choices": choices})


@dataclass(frozen=True)
class Recipe:
    """Validated on construction: UserError names the field and what it takes."""

    name: str = _field("", "name of the run; its files lie in a folder of this name")

    source: str = _field("flashcards", "which loader reads the rows: flashcards, medquad, hpo or jsonl; several, "
                         "joined by commas here and in the next three fields, make one split")
    source_location: str = _field("", "Hub dataset id or local path of the rows; empty for hpo, which reads a package")
    source_revision: str = _field("", "commit sha, tag or branch of a Hub source; empty: resolved once and recorded")
    source_licence: str = _field("", "licence of the source as its owner states it; must be known before publication")
    question_column: str = _field("question", "column of a jsonl source that holds the questions")
    answer_column: str = _field("answer", "column of a jsonl source that holds the answers")
    sample_rows: int = _field(3000, "rows kept after cleaning, stratified by topic", minimum=10, maximum=10_000_000)
    max_answer_words: int = _field(400, "rows with longer answers are dropped, and counted", minimum=5, maximum=100_000)
    split: str = _field("topic", "topic: no topic on two sides; random: the ancestor's, which leaks",
                        choices=("topic", "random"))
    validation_share: float = _field(0.1, "share of rows that steers training", minimum=0.0, maximum=0.4)
    test_share: float = _field(0.1, "share of rows that every published figure is on", minimum=0.0, maximum=0.4)
    split_seed: int = _field(42, "seed of sampling and splitting: runs that are compared share it", minimum=0,
                             maximum=2**32 - 1)
    seed: int = _field(42, "seed of initialisation, order of rows, dropout and bootstrap", minimum=0, maximum=2**32 - 1)

    base_repo: str = _field("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "Hub id of the chat model to fine-tune")
    base_revision: str = _field("", "commit sha, tag or branch of the base; empty: resolved once and recorded")
    base_licence: str = _field("", "licence of the base as its owner states it")
    quantization: str = _field("none", "nf4: base weights in 4 bits (QLoRA)", choices=("none", "nf4"))
    dtype: str = _field("auto", "auto: bfloat16 where the GPU has it, else float32 (a CPU is 40 times slower in bf16)",
                        choices=("auto", "float32", "bfloat16"))
    lora_r: int = _field(16, "rank of the update", minimum=1, maximum=512)
    lora_alpha: int = _field(32, "update is scaled by alpha / r", minimum=1, maximum=4096)
    lora_dropout: float = _field(0.05, "dropout before the update", minimum=0.0, maximum=0.9)
    target_modules: str = _field("all-linear", "all-linear, or module names joined by commas")

    train_rows: int = _field(0, "use only so many rows of the training split; 0: all", minimum=0, maximum=10_000_000)
    validation_rows: int = _field(0, "use only so many rows of the validation split; 0: all", minimum=0,
                                  maximum=10_000_000)
    epochs: float = _field(3.0, "passes over the training rows", minimum=0.001, maximum=1000.0)
    max_steps: int = _field(0, "stop after so many optimizer steps; 0: as many as the epochs take", minimum=0,
                            maximum=10_000_000)
    max_length: int = _field(512, "longest row in tokens, question and answer together", minimum=16, maximum=32_768)
    batch_size: int = _field(4, "rows of one batch; several processes share batches or, where there are too few, rows",
                             minimum=1, maximum=4096)
    gradient_accumulation_steps: int = _field(4, "batches of one optimizer step, of all processes together", minimum=1,
                                              maximum=4096)
    learning_rate: float = _field(2e-4, "peak learning rate", minimum=1e-8, maximum=1.0)
    lr_scheduler_type: str = _field("cosine", "shape of the learning rate over the run",
                                    choices=("cosine", "linear", "constant", "constant_with_warmup"))
    warmup_steps: float = _field(0.03, "steps of warm-up; below 1, their share of the run", minimum=0.0,
                                 maximum=100_000.0)
    optimizer: str = _field("adamw_torch", "name of the optimizer as TrainingArguments takes it",
                            choices=("adamw_torch", "adamw_torch_fused", "paged_adamw_8bit", "adamw_8bit"))
    weight_decay: float = _field(0.0, "weight decay of the update", minimum=0.0, maximum=1.0)
    packing: bool = _field(False, "several rows in one sequence, documents kept apart")
    activation_checkpointing: bool = _field(False, "recompute activations: less memory, up to half more time")
    cuda_graph: bool = _field(True, "on GPUs: a step's rows in one pass without padding, replayed as a CUDA graph; "
                              "not with packing")
    group_by_length: bool = _field(False, "rows of like length in one batch: less padding")
    eval_steps: int = _field(50, "optimizer steps between two validations, each with a checkpoint", minimum=1,
                             maximum=1_000_000)
    early_stopping_patience: int = _field(2, "validations without gain before training stops", minimum=1, maximum=1000)
    generation_probe_rows: int = _field(64, "first rows of the validation split that are answered before training "
                                        "and at each validation, their scores logged; 0: off; not with nf4 or FSDP",
                                        minimum=0, maximum=10_000_000)
    trackio_project: str = _field("", "Trackio project that also gets what is logged; empty: off. Runs of a sweep can "
                                  "share one")
    trackio_space_id: str = _field("", "Hub Space to send it to; empty: it stays on this machine")

    usd_per_hour: float = _field(0.0, "price of the machine, for the cost of a run; 0: not told", minimum=0.0,
                                 maximum=100_000.0)

    test_rows: int = _field(0, "rows of the test split to evaluate on; 0: all", minimum=0, maximum=10_000_000)
    max_new_tokens: int = _field(256, "longest answer that is generated in evaluation", minimum=1, maximum=8192)
    evaluation_batch_size: int = _field(32, "rows generated at a time", minimum=1, maximum=4096)
    evaluation_dtype: str = _field("auto", "precision of measuring, as dtype; in float32 any machine repeats a figure",
                                   choices=("auto", "float32", "bfloat16"))
    bootstrap_resamples: int = _field(10_000, "resamples behind each interval and p; no p is below 1 / (resamples + 1)",
                                      minimum=100, maximum=1_000_000)

    choice_rows: int = _field(300, "rows of which multiple-choice items are made, each with three more answers to "
                              "score; 0: off", minimum=0, maximum=10_000_000)
    two_shot_rows: int = _field(300, "rows that the base also answers with two training examples before them; 0: off",
                                minimum=0, maximum=10_000_000)
    agreement_rows: int = _field(32, "rows that each model answers three times more, at temperature 0.7; 0: off",
                                 minimum=0, maximum=10_000_000)
    probe_rows: int = _field(200, "rows of each file in train_space/probes to measure on, evenly spread; 0: off",
                             minimum=0, maximum=10_000_000)

    dataset_repo: str = _field("kira-medical-flashcards", "where the split goes; without owner: the token's")
    adapter_repo: str = _field("kira-tinyllama-1.1b-medical-lora", "where the adapter goes; without owner: the token's")
    adapter_licence: str = _field("apache-2.0", "licence of the adapter, as a Hub licence id")
    publish_below_safety_bar: bool = _field(False, "publish although triage misses more dangers than its bar allows "
                                            "(results/safety.json); the card then begins with that")

    def __post_init__(self):
        for f in fields(self):
            object.__setattr__(self, f.name, _checked(f, getattr(self, f.name)))
        if not self.name or set(self.name) - set("abcdefghijklmnopqrstuvwxyz0123456789-_."):
            raise UserError("Recipe field name takes lower-case letters, digits, '-', '_' and '.'.")
        if self.trackio_space_id and not self.trackio_project:
            raise UserError("Recipe field trackio_space_id needs trackio_project, the name of the project there.")
        if "," in self.source:
            self.one_source_each()
        elif self.source not in SOURCES:
            raise UserError(f"Recipe field source is {self.source!r}; it takes one of {', '.join(SOURCES)}.")
        elif self.source != "hpo" and not self.source_location:
            raise UserError(f"Recipe field source_location is empty; name the Hub id or path of {self.source} rows.")

    def one_source_each(self) -> list["Recipe"]:
        """This recipe once for each of its sources. Raises UserError when they have not a value each."""
        kinds = [kind.strip() for kind in self.source.split(",")]
        if len(kinds) == 1:
            return [self]
        each = [{"source": kind} for kind in kinds]
        for name in ("source_location", "source_revision", "source_licence"):
            values = [v.strip() for v in getattr(self, name).split(",")] if getattr(self, name) else [""] * len(kinds)
            if len(values) != len(kinds):
                raise UserError(f"Recipe field {name} has {len(values)} values for {len(kinds)} sources; it takes one "
                                "for each, joined by commas.")
            for part, value in zip(each, values, strict=True):
                part[name] = value
        return [dataclasses.replace(self, **part) for part in each]

    @property
    def probes_generation(self) -> bool:
        """Whether rows are answered while training; weights in 4 bits never answer.

        On a CPU with AVX512-BF16, bitsandbytes would round their scales for good and so train something else.
        """
        return bool(self.generation_probe_rows) and self.quantization == "none"

    def digest_fields(self, *names: str) -> dict:
        """The named fields as a plain dictionary: what a stage depends on."""
        return {n: getattr(self, n) for n in names}


def _checked(f, value):
    meta, kind = f.metadata, f.type
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is float and isinstance(value, str):  # YAML 1.1 reads 2e-4 as text
        try:
            value = float(value)
        except ValueError:
            raise UserError(f"Recipe field {f.name} is {value!r}; it takes a number.") from None
    if type(value) is not kind:
        raise UserError(f"Recipe field {f.name} is {value!r}; it takes a {kind.__name__}.")
    if meta["choices"] and value not in meta["choices"]:
        raise UserError(f"Recipe field {f.name} is {value!r}; it takes one of {', '.join(meta['choices'])}.")
    low, high = meta["minimum"], meta["maximum"]
    if low is not None and not (math.isfinite(value) and low <= value <= high):
        raise UserError(f"Recipe field {f.name} is {value}; it takes a number from {low} to {high}.")
    return value


def load(name_or_path: str, overrides: dict[str, str] | None = None) -> Recipe:
    """The preset of that name, or the YAML file at that path, with `overrides` (field -> YAML text) on top.

    Raises UserError for an unknown recipe, an unknown field, broken YAML or a value out of range.
    """
    path = PRESETS / f"{name_or_path}.yaml"
    if not path.is_file():
        path = Path(name_or_path)
    if not path.is_file():
        raise UserError(f"There is no recipe {name_or_path!r}; name a YAML file or one of {', '.join(presets())}.")
    try:
        values = yaml.safe_load(path.read_text("utf-8")) or {}
        values |= {key: yaml.safe_load(text) for key, text in (overrides or {}).items()}
    except yaml.YAMLError as error:
        raise UserError(f"The recipe {path} is not valid YAML: {str(error).splitlines()[0]}.") from None
    if not isinstance(values, dict):
        raise UserError(f"The recipe {path} must be a list of `field: value` lines.")
    known = {f.name for f in fields(Recipe)}
    for key in values:
        if key not in known:
            raise UserError(f"The recipe {path.name} has an unknown field {key!r}; see train_space/recipe.py.")
    return Recipe(**{"name": path.stem} | values)


def presets() -> list[str]:
    """Names of the recipes that ship with Kira."""
    return sorted(p.stem for p in PRESETS.glob("*.yaml"))


def as_dict(recipe: Recipe) -> dict:
    """Every field in declaration order."""
    return dataclasses.asdict(recipe)
