"""The experiments that ship with the repository, filtered, as text for tables."""

from kira.figures import label, number

RUN_COLUMNS = ("Recipe", "Split", "Seed", "Weights", "LoRA", "Learning rate", "Epochs", "Rows a step", "Rows",
               "ROUGE-L base", "ROUGE-L tuned", "Perplexity base", "Perplexity tuned", "Seconds", "Peak MB", "Machine")
COMPARISON_COLUMNS = ("Recipe", "Split", "Metric", "Mean", "From the base", "95 % interval", "From the reference",
                      "95 % interval of that", "n", "Seeds")


def matching(rows: list[dict], recipe: str = "", split: str = "", text: str = "") -> list[dict]:
    """Those of this recipe and split (empty: any) that hold `text` in any of their values, case aside."""
    wanted = text.strip().casefold()
    return [row for row in rows if recipe in ("", row["label"]) and split in ("", row["split"])
            and wanted in "\n".join(row.values()).casefold()]


def run_table(rows: list[dict]) -> list[list[str]]:
    """Runs as text under RUN_COLUMNS."""
    return [
        [row["label"], row["split"], row["seed"], row["quantization"],
         f"r {row['lora_r']}, {_short(row['target_modules'])}", row["learning_rate"], row["epochs"],
         str(int(row["batch_size"]) * int(row["gradient_accumulation_steps"])), row["train_rows"],
         *(number(float(row[name])) for name in ("base_rougeL", "tuned_rougeL", "base_perplexity",
                                                 "tuned_perplexity")),
         f"{float(row['training_time_s']):.0f}", row["peak_memory_mb"], row["machine"]]
        for row in rows
    ]


def _short(modules: str) -> str:
    return ", ".join(name.removesuffix("_proj") for name in modules.split(","))


def comparison_table(rows: list[dict]) -> list[list[str]]:
    """Comparisons as text under COMPARISON_COLUMNS; a reference is not compared with itself."""
    made = []
    for row in rows:
        reference = ["is it", ""] if row["label"] == row["reference"] else _difference(row, "from_reference")
        made.append([row["label"], row["split"], label(row["metric"]), number(float(row["mean"])),
                     *_difference(row, "from_base"), *reference, row["n"], row["seeds"]])
    return made


def _difference(row: dict, name: str) -> list[str]:
    value, low, high = (row[key] for key in (name, f"{name}_low", f"{name}_high"))
    if value[-1:].isalpha():  # words instead of a figure
        return [value, ""]
    return [number(float(value), True), f"{number(float(low), True)} to {number(float(high), True)}"]
