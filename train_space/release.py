"""Puts the adapter that ships in release/ on the Hub of this environment, on the base there that has the same weights.

    python -m train_space release
    python -m train_space.release .kira/runs/release    (fills release/ from a run, for whoever ships another adapter)

release/ holds what a run published, without any text of its rows: its card quotes none, the published one those that
any machine can make again. A base that was converted here is another commit than where the adapter was trained, though
its weights are the same: their sha256 decides, and every file then names the commit of this Hub.
"""

import shutil
import sys
from pathlib import Path

from kira.errors import UserError
from kira.settings import Settings
from train_space import cards, safety_bar
from train_space import recipe as recipes
from train_space.files import read_json, sha256, write_json, write_text
from train_space.publish import ADAPTER_FILES, earlier_releases, push_folder, space_variables, tag_head
from train_space.references import REBUILT, NoTexts, references

FOLDER = Path(__file__).resolve().parent.parent / "release"
ALLOWED = "publish_below_safety_bar"
RESTATED = ("manifest.json", "metrics.json", "recipe.json", "adapter_config.json")


def release(run_dir: Path, folder: Path) -> dict:
    """{"repo", "revision", "tag"} after one commit and a tag; writes RUN/publication and RUN/space.env.

    Raises UserError when there is nothing to release, for a base with other weights, and while triage is below its bar
    unless the recipe of the run allows that; recipes/release.yaml speaks for runs older than that field.
    """
    from train_space.hub import full_repo_id

    missing = [name for name in (*ADAPTER_FILES, *RESTATED) if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder.name}/ lacks {missing[0]}; it takes the files of a run's publication.")
    fields = read_json(folder / "recipe.json")["recipe"]
    safety_bar.check(fields.get(ALLOWED, getattr(recipes.load("release"), ALLOWED)))
    stage = run_dir / "publication"
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(folder, stage)
    repo = full_repo_id(fields["adapter_repo"])
    base = read_json(stage / "manifest.json")["base"]
    _restate(stage, repo, base["revision"], _same_base(base))
    write_text(stage / "README.md", cards.render_card(stage, _texts(stage)))
    revision = push_folder(stage, repo, "model", "Released adapter with manifest, metrics and card")
    write_text(run_dir / "space.env", space_variables(repo, revision))
    return {"repo": repo, "revision": revision, "tag": tag_head(repo, revision)}


def _same_base(base: dict) -> str:
    """Commit of this Hub's copy of the base. Raises UserError when its weights are others."""
    from huggingface_hub import HfApi

    from train_space import embedded
    from train_space.hub import hub_errors

    if base["repo"] == embedded.REPO:
        embedded.ensure_base_published()
    with hub_errors(f"find {base['repo']}"):
        found = HfApi().model_info(base["repo"], files_metadata=True)
    digests = {file.rfilename: file.lfs.sha256 for file in found.siblings if file.lfs}
    for name, digest in base["weights"].items():
        if digests.get(name) != digest:
            raise UserError(f"{name} of {base['repo']} on this Hub is not the file that the released adapter was "
                            "trained on.")
    return found.sha


def _texts(stage: Path) -> dict[str, dict]:
    """Rows of the test split that any machine can make, by id."""
    manifest, metrics, record = (read_json(stage / f"{name}.json") for name in ("manifest", "metrics", "recipe"))
    try:
        found = references(manifest["dataset"], metrics["inputs"]["split_sha256"], record, None,
                           Settings().hub_timeout_s)
    except NoTexts:
        return {}
    return {row["id"]: row for row in found.rows}


def _restate(stage: Path, repo: str, before: str, now: str) -> None:
    for name in RESTATED:
        write_text(stage / name, (stage / name).read_text("utf-8").replace(before, now))
    write_json(stage / "releases.json", earlier_releases(repo, sha256(stage / "metrics.json")))
    manifest = read_json(stage / "manifest.json")
    _describe(stage, manifest, repo, [REBUILT])


def _describe(stage: Path, manifest: dict, repo: str, quotes: list[str]) -> None:
    """Plots, safety reports, and a manifest for what this checkout makes of the files."""
    cards.write_plots(stage)
    safety_bar.copy_reports(stage)
    manifest["card"] = {"repo": repo, "made_by": cards.made_by(), "quotes": quotes}
    manifest["files"] = {path.name: sha256(path) for path in sorted(stage.iterdir())
                         if path.name not in ("README.md", "manifest.json")}
    write_json(stage / "manifest.json", manifest)


def ship(publication: Path, folder: Path) -> None:
    """Fills `folder` with a run's publication, for a repository that holds no text of the rows."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(publication, folder)
    describe_shipped(folder)


def describe_shipped(folder: Path) -> None:
    """Makes plots, manifest and card of `folder` anew; the card quotes nothing."""
    manifest = read_json(folder / "manifest.json")
    _describe(folder, manifest, manifest["card"]["repo"], [])
    write_text(folder / "README.md", cards.render_card(folder, {}))


if __name__ == "__main__":
    ship(Path(sys.argv[1]) / "publication", FOLDER)
