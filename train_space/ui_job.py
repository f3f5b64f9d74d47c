"""The same run as a Job on the Hub, on rented hardware: the call of `huggingface_hub.run_uv_job`.

A job has nothing but what it fetches: the code from the Space that starts it, the rows from the Hub.
"""

import os
from pathlib import Path

import yaml

from kira.errors import UserError
from train_space.recipe import Recipe, as_dict
from train_space.ui_visitor import Visitor

FLAVORS = ("t4-small", "l4x1", "a10g-small", "a100-large")
REAL_HUB = "https://huggingface.co"
HERE = Path(__file__).resolve().parent
SCRIPT = '''
import os, subprocess, sys
from huggingface_hub import snapshot_download

code = snapshot_download(os.environ["KIRA_SPACE"], repo_type="space")
with open("recipe.yaml", "w", encoding="utf-8") as file:
    file.write(os.environ["KIRA_RECIPE"])
sys.exit(subprocess.call([sys.executable, "-m", "train_space", "run", "--recipe", "recipe.yaml"],
                         env=os.environ | {"PYTHONPATH": code}))
'''


def requirements() -> list[str]:
    """What the job installs: of a checkout both files; a staged Space has one that holds all."""
    files = [HERE / "requirements.txt", HERE.parent / "requirements.txt"]
    lines = [line.strip() for path in files if path.is_file() for line in path.read_text("utf-8").splitlines()]
    return sorted({line for line in lines if line and not line.startswith("#")})


def call(recipe: Recipe, who: Visitor, flavor: str, space: str) -> dict:
    """Arguments of `run_uv_job`: the recipe in the environment, the token among the secrets."""
    return {"dependencies": requirements(), "python": "3.12", "flavor": flavor, "timeout": "4h",
            "env": {"KIRA_SPACE": space, "KIRA_RECIPE": yaml.safe_dump(as_dict(recipe), sort_keys=False)},
            "secrets": {"HF_TOKEN": who.token}, "namespace": who.name, "token": who.token}


def submit(recipe: Recipe, who: Visitor, flavor: str, uploaded: bool) -> str:
    """Address of the job that was started; it publishes what it makes. Raises UserError where there are no jobs."""
    from huggingface_hub import constants, run_uv_job

    from train_space.hub import hub_errors

    if constants.ENDPOINT != REAL_HUB:
        raise UserError(f"The Hub at {constants.ENDPOINT} has no jobs; train on this machine.")
    if not (space := os.environ.get("SPACE_ID")):
        raise UserError("A job fetches its code from the Space that starts it; here, train on this machine.")
    if flavor not in FLAVORS:
        raise UserError("Please choose one of the job's machines.")
    if uploaded:
        raise UserError("A job cannot see an uploaded file; put the rows on the Hub and name that dataset.")
    folder = HERE.parent / ".kira"
    folder.mkdir(exist_ok=True)
    script = folder / "job.py"
    script.write_text(SCRIPT, "utf-8")
    with hub_errors("start the job"):
        return run_uv_job(str(script), **call(recipe, who, flavor, space)).url
