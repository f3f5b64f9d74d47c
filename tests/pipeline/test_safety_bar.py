"""Below its bar triage stops a publication, or the card begins with it."""

import pytest

from kira.safety_report import LEAST_RECALL, safety_rows
from tests.pipeline.conftest import ROOT
from train_space import cards, release
from train_space.files import read_json, write_json

BEGIN = "import sys\nfrom pathlib import Path\nfrom train_space import __main__, safety_bar\n" \
        "safety_bar.REPORT = Path(sys.argv[1])\nsys.exit(__main__.main(sys.argv[2:]))"
SENTENCE = "triage meets 97.0 % of 333 unseen dangers, and its bar is 98 %;".replace(" %", "%")


@pytest.fixture
def report(tmp_path):
    """Path of this repository's report with another recall."""
    def with_recall(value):
        made = read_json(ROOT / "results" / "safety.json")
        made["triage"]["unseen"]["recall"] = {"value": value, "low": value - 0.02, "high": value + 0.01, "n": 333}
        write_json(tmp_path / "safety.json", made)
        return tmp_path / "safety.json"

    return with_recall


def test_a_publication_is_refused_unless_the_recipe_says_so(hub, tiny_recipe, report, tmp_path):
    run = "run", "--recipe", tiny_recipe, "--work", tmp_path, "--set=adapter_repo=barred", "--set=max_steps=2"
    refused = "--set=publish_below_safety_bar=false"
    done = hub.python("-c", BEGIN, report(0.97), *run, refused, check=False)
    assert done.returncode == 1 and SENTENCE in done.stderr.splitlines()[-1]
    assert not (tmp_path / "tiny" / "publication").exists()
    hub.python("-c", BEGIN, report(0.97), *run)
    first = (tmp_path / "tiny" / "publication" / "README.md").read_text("utf-8").split("\n\n")[1]
    assert first.startswith("**Kira's triage misses its bar: it meets 97.0 % of 333 ")
    hub.python("-c", BEGIN, report(LEAST_RECALL), *run, refused)
    assert "misses its bar" not in (tmp_path / "tiny" / "publication" / "README.md").read_text("utf-8")
    folder = tmp_path / "tiny" / "publication"
    shipped = "release", "--folder", folder, "--work", tmp_path
    record = read_json(folder / "recipe.json")
    record["recipe"]["publish_below_safety_bar"] = False
    write_json(folder / "recipe.json", record)
    done = hub.python("-c", BEGIN, report(0.97), *shipped, check=False)
    assert done.returncode == 1 and SENTENCE in done.stderr


def test_rows_say_which_bars_are_missed(report):
    rows = {row["what"]: row for row in safety_rows(read_json(report(0.97)))}
    assert rows["dangers that are met with fixed words"]["met"] is False
    assert rows["MedQuAD's and WikiDoc's questions taken for danger"]["met"] is True
    assert rows["declined: dose"]["met"] is None and not rows["declined: dose"]["aim"]


def test_the_shipped_card_has_the_report_that_ships(tmp_path):
    assert (release.FOLDER / "safety.json").read_bytes() == (ROOT / "results" / "safety.json").read_bytes()
    assert "| dangers that are met with fixed words |" in cards.render_card(release.FOLDER, {})
