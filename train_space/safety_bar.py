"""Nothing is published while triage misses too many dangers, unless the recipe says so; then the card says so first."""

import shutil
from pathlib import Path

from kira.errors import UserError
from kira.safety_report import LEAST_RECALL, below_the_bar
from train_space.files import read_json, sha256

REPORT = Path(__file__).resolve().parent.parent / "results" / "safety.json"
HELP_NOW = REPORT.with_name("help_now.json")
NAME = REPORT.name  # beside a published card, which quotes it


def check(allowed: bool) -> None:
    """Raises UserError when the report's recall is below its bar and that is not allowed."""
    report = read_json(REPORT)
    if below_the_bar(report) and not allowed:
        recall = report["triage"]["unseen"]["recall"]
        raise UserError(
            f"The adapter was not published: triage meets {recall['value']:.1%} of {recall['n']} unseen dangers, and "
            f"its bar is {LEAST_RECALL:.0%}; mend triage and run `python -m train_space.safety`, or set "
            "publish_below_safety_bar: true in the recipe, and the card will begin with it.")


def copy_reports(stage: Path) -> None:
    """Puts the report into `stage`, for the card, and that on what models tell people in danger, if of this adapter."""
    shutil.copyfile(REPORT, stage / NAME)
    of_it = HELP_NOW.is_file() and read_json(HELP_NOW)["adapter_sha256"] == sha256(stage / "adapter_model.safetensors")
    if of_it:
        shutil.copyfile(HELP_NOW, stage / HELP_NOW.name)
    else:
        (stage / HELP_NOW.name).unlink(missing_ok=True)
