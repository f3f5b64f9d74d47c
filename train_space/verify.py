"""Does a published adapter tell the truth? Anybody can ask, on a CPU, with nothing but its id.

    python -m train_space verify REPO_ID [--data FILE] [--revision TAG_OR_SHA] [--rows N]

Prints one line a check, then `verified` or `NOT verified: REASON`. The chain: the release's commit pins manifest.json,
that pins every file by sha256; ids of rows pin their text; the figures follow from answers and texts by arithmetic;
some answers and likelihoods are made again by the models themselves. Nothing downloaded can run code.
"""

import json
import math
import random
from functools import cached_property
from pathlib import Path

from kira import artifacts
from kira.errors import UserError
from kira.figures import comparison_rows
from kira.settings import Settings
from train_space.card_numbers import check_card, check_rest
from train_space.files import is_disk_full, read_json_lines, sha256
from train_space.recompute import OF_TEXTS, difference, without_texts, wrong_score
from train_space.references import NoTexts, measured_rows, references

COVERED = ("metrics.json", "answers.jsonl", "recipe.json")  # what the manifest must pin beyond what the Space needs
READ_BY_LOADERS = (".safetensors", ".json", ".jinja")
# A row's NLL is a sum over its tokens, so its rounding grows with it and the tolerance is a share of it. SmolLM2-135M:
# 2e-6 from float32 to float32, up to 2e-2 from bfloat16, which keeps 8 bits of every number on the way.
TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}
# (first words of an answer that are compared, None: all and whether it ended; share of answers that must be the same).
# Greedy answers part for good at the first near tie that rounding decides otherwise: from bfloat16, 9 of 12
# of the base's did within 40 tokens.
SAME = {"float32": (None, 0.75), "bfloat16": (8, 0.25)}


class NotChecked(Exception):
    """A check that could not be made, with the reason; never the same as a pass."""


def verify(repo: str, revision: str, data: Path | None, rows: int) -> bool:
    """Whether every check of `repo` passes at `revision` (empty: the newest release tag); prints what was found.

    `data`: the reference texts, instead of the published split. `rows`: how many are answered and scored anew. Raises
    UserError for arguments that make no sense and for a release that cannot be fetched.
    """
    if rows < 1:
        raise UserError(f"--rows is {rows}; it takes a number from 1.")
    if data and not data.is_file():
        raise UserError(f"There is no file {data}; name JSON Lines or parquet with id, question and answer.")
    release = Release(_fetch(repo, revision), data, rows)
    print(f"release      {release.adapter.name}", flush=True)
    reasons = {"FAIL": "", "not checked": ""}
    for check in (release.files, release.links, release.rows, release.scores, release.figures, release.card,
                  release.base, release.likelihood, release.answers_anew):
        verdict, text = _outcome(check)
        print(f"{verdict:<12} {check.__name__.replace('_', ' '):<13} {text}", flush=True)
        if verdict != "ok":
            reasons[verdict] = reasons[verdict] or text
    reason = reasons["FAIL"] or reasons["not checked"]
    print(f"NOT verified: {reason}" if reason else "verified")
    return not reason


def _outcome(check) -> tuple[str, str]:
    try:
        return "ok", check()
    except NotChecked as error:
        return "not checked", str(error)
    except UserError as error:
        return "FAIL", str(error)
    except Exception as error:  # what a file that was tampered with makes a library raise can be anything
        if is_disk_full(error):
            raise
        reason = (str(error).strip().splitlines() or [""])[0]
        return "FAIL", f"A file does not hold what it should ({type(error).__name__}: {reason})."


def _fetch(repo: str, revision: str) -> artifacts.Source:
    from train_space.publish import releases

    timeout_s = Settings().hub_timeout_s
    if not revision:
        with artifacts.hub_requests(repo, "", timeout_s):
            known = releases(repo)
        if not known:
            raise UserError(f"{repo} has no release tag (v1, v2, ...); name what to verify with --revision.")
        revision = f"v{known[0][0]}"
        print(f"tag          {revision}, the newest of {len(known)}")
    return artifacts.fetch(repo, revision, timeout_s, [*artifacts.PATTERNS, "README.md"])


class Release:
    """A published adapter and what has been found out about it; each check returns what it compared, or raises."""

    def __init__(self, adapter: artifacts.Source, data: Path | None, count: int):
        self.adapter, self.data, self.count = adapter, data, count
        self.sound = self.base_sound = False
        self.texts: dict[int, dict] = {}  # rows of answers, once their text is known to be the one that was measured
        self.recomputed: dict = {}
        self.anew: list[tuple[dict, dict]] = []  # (stored answer, the same row answered anew)

    @cached_property
    def manifest(self) -> dict:
        return self._json("manifest.json")

    @cached_property
    def metrics(self) -> dict:
        return self._json("metrics.json")

    @cached_property
    def record(self) -> dict:
        return self._json("recipe.json")

    @cached_property
    def answers(self) -> list[dict]:
        return read_json_lines(self._path("answers.jsonl"))

    @property
    def precision(self) -> str:
        precision = self.metrics["precision"]
        if precision not in TOLERANCE:
            raise NotChecked(f"metrics.json was measured in {precision}, for which no tolerance is known.")
        return precision

    def files(self) -> str:
        manifest = artifacts.verify(self.adapter)
        for name in COVERED:
            if name not in manifest["files"]:
                raise UserError(f"The manifest.json of {self.adapter.repo} does not cover {name}.")
        listed = {*manifest["files"], "manifest.json"}
        for path in sorted(self.adapter.folder.iterdir()):
            if path.suffix in READ_BY_LOADERS and path.name not in listed:
                raise UserError(f"{self.adapter.repo} holds {path.name}, which its manifest does not list.")
        self.sound = True
        return f"{len(manifest['files'])} files have the sha256 that manifest.json lists, {len(manifest['tensors'])} " \
               "tensors its names and shapes"

    def links(self) -> str:
        """The files speak of one another, of one base, one data set and one split."""
        base, dataset, inputs, runs = (self.manifest["base"], self.manifest["dataset"], self.metrics["inputs"],
                                       self.metrics["runs"])
        said = [
            ("metrics.json's adapter_sha256", inputs["adapter_sha256"],
             sha256(self._path("adapter_model.safetensors"))),
            ("metrics.json's answers_sha256", inputs["answers_sha256"], sha256(self._path("answers.jsonl"))),
            ("metrics.json's base_revision", inputs["base_revision"], base["revision"]),
            ("metrics.json's base model", runs["base"]["model"], f"{base['repo']}@{base['revision']}"),
            ("recipe.json's base", self.record["base"]["repo"], base["repo"]),
            ("recipe.json's base revision", self.record["base"]["revision"], base["revision"]),
            ("recipe.json's base_repo", self.record["recipe"]["base_repo"], base["repo"]),
            ("recipe.json's dataset", self.record["dataset"], dataset),
            *((f"metrics.json's {key} of {run}", runs[run][key], value) for run in ("base", "tuned")
              for key, value in (("split", "test"), ("n", len(self.answers)))),
        ]
        for what, stated, found in said:
            if stated != found:
                raise UserError(f"{what} is {stated}, but what is published here is {found}.")
        return f"{len(said)} statements of metrics.json and recipe.json about the other files, base and dataset"

    def rows(self) -> str:
        try:
            found = references(self.manifest["dataset"], self.metrics["inputs"]["split_sha256"], self.record,
                               self.data, Settings().hub_timeout_s)
        except NoTexts as error:
            raise NotChecked(str(error)) from None
        self.texts = texts = measured_rows(found, self.answers, self.record["recipe"])
        if len(texts) < len(self.answers):
            return f"{len(texts)} of {len(self.answers)} reference texts from {found.where}; the others take --data"
        return f"{len(texts)} reference texts from {found.where}" + (
            ", all that the recipe draws" if found.whole else "; whether the recipe draws these rows was not asked")

    def scores(self) -> str:
        from train_space.compare import OVERLAP, RUNS

        self._need_texts()
        answers, texts = [self.answers[i] for i in self.texts], [row["answer"] for row in self.texts.values()]
        if found := wrong_score(answers, texts):
            raise UserError(f"answers.jsonl: {found}.")
        return f"{', '.join(OVERLAP)} of {len(answers)} answers each of {' and '.join(RUNS)}, exactly"

    def figures(self) -> str:
        from train_space.compare import compare

        self._need_texts()
        runs, inputs = self.metrics["runs"], self.metrics["inputs"]
        probes = []
        if "probe_answers_sha256" in inputs:
            path = self._path("probe_answers.jsonl")
            if sha256(path) != inputs["probe_answers_sha256"]:
                raise UserError("metrics.json was made of another probe_answers.jsonl.")
            probes = read_json_lines(path)
        texts = [self.texts.get(i, {"answer": ""})["answer"] for i in range(len(self.answers))]
        made = compare(self.answers, texts, self.record["recipe"]["bootstrap_resamples"], runs["tuned"]["seed"], probes)
        made["runs"] = {run: runs.get(run, {}) | values for run, values in made["runs"].items()}
        stored, partly = self.metrics, len(self.texts) < len(self.answers)
        if partly:
            made, stored = without_texts(made), without_texts(stored)
        for part, values in made.items():
            if found := difference(part, stored[part], values):
                raise UserError(f"metrics.json: {found}.")
        self.recomputed = {} if partly else made
        return f"figures of {len(made['runs'])} runs and {len(made['deltas'])} differences in metrics.json, exactly" + (
            f"; but p (Holm) and {', '.join(OF_TEXTS)}, which take all texts" if partly else "")

    def card(self) -> str:
        """Against the recomputed figures where there are any: that shows which file is wrong."""
        card, rows = self._path("README.md").read_text("utf-8"), comparison_rows(self.recomputed or self.metrics)
        which = "recomputed ones" if self.recomputed else "ones of metrics.json"
        return f"{check_card(card, rows)} numbers of README.md's table and model-index are the {which}; " + \
            check_rest(self.adapter.folder, self.manifest, list(self.texts.values()))

    def base(self) -> str:
        base = self.manifest["base"]
        if not base.get("weights"):
            raise UserError("manifest.json records no sha256 of the base's weights; train and publish again.")
        source = artifacts.fetch(base["repo"], base["revision"], Settings().hub_timeout_s)
        for name, digest in base["weights"].items():
            path = source.folder / name
            if Path(name).name != name or not path.is_file() or sha256(path) != digest:
                raise UserError(f"{name} of the base {source.name} is not the file that the adapter was trained on.")
        self.base_sound = True
        return f"{len(base['weights'])} weight file(s) of {source.name} have the sha256 of those trained on"

    def likelihood(self) -> str:
        from train_space.compare import RUNS

        self._answer_anew()
        tolerance, largest = TOLERANCE[self.precision], 0.0
        for stored, made in self.anew:
            if stored["reference_tokens"] != made["reference_tokens"]:
                raise UserError(f"answers.jsonl: reference_tokens of {stored['id']} is {stored['reference_tokens']}, "
                                f"by the base's tokenizer {made['reference_tokens']}.")
            for run in RUNS:
                before, now = stored[run]["nll"], made[run]["nll"]
                if not math.isclose(before, now, rel_tol=tolerance):
                    raise UserError(f"answers.jsonl: NLL of {stored['id']}, {run}, is {before} nats; this base and "
                                    f"adapter give {now} in float32 (stored in {self.precision}, at most "
                                    f"{tolerance:g} of it apart).")
                largest = max(largest, abs(before - now) / max(abs(before), abs(now)))
        return f"NLL of {len(self.anew)} of {len(self.answers)} rows, base and tuned: in float32 at most " \
               f"{largest:.1e} of it from that stored in {self.precision} (allowed: {tolerance:g})"

    def answers_anew(self) -> str:
        """That the stored answers are the models' own: everything above would hold for invented ones."""
        from train_space.compare import RUNS

        if not self.anew:
            raise NotChecked("no row was answered anew.")
        words, least = SAME[self.precision]
        same = {run: sum(_said(stored[run], words) == _said(made[run], words) for stored, made in self.anew)
                for run in RUNS}
        for run, count in same.items():
            if count < least * len(self.anew):
                raise UserError(f"Only {count} of {len(self.anew)} answers of {run} in answers.jsonl are what the "
                                f"model answers here; at least {least:.0%} should be ({self.precision}).")
        return ", ".join(f"{run} {count} of {len(self.anew)}" for run, count in same.items()) + " answers " + \
            ("" if words is None else f"begin with the {words} words ") + \
            f"as stored (measured in {self.precision}, needed: {least:.0%})"

    def _answer_anew(self) -> None:
        from train_space.evaluate import Decoding, load_model, scored_answers

        self._need_texts()
        if not (self.sound and self.base_sound):
            raise NotChecked("adapter or base are not the published ones.")
        self.precision  # noqa: B018  known, before anything slow
        # Drawn by the commit, so that they are the same for everybody and not known before all files are fixed.
        drawn = sorted(random.Random(self.adapter.revision).sample(
            list(self.texts), min(self.count, len(self.texts))))
        model, tokenizer, *base = load_model(str(self.adapter.folder), dtype="float32", device="cpu")
        if base != [self.manifest["base"][key] for key in ("repo", "revision")]:
            raise UserError("adapter_config.json names no revision of the base, so it loads whatever is newest.")
        decoding = Decoding(self.metrics["decoding"]["max_new_tokens"], len(drawn))
        made = scored_answers(model, tokenizer, [self.texts[i] for i in drawn], decoding, seed=0)
        self.anew = [(self.answers[i], answer) for i, answer in zip(drawn, made, strict=True)]

    def _need_texts(self) -> None:
        if not self.texts:
            raise NotChecked("there are no reference texts.")

    def _path(self, name: str) -> Path:
        path = self.adapter.folder / name
        if not path.is_file():
            raise UserError(f"{self.adapter.repo} has no {name}.")
        return path

    def _json(self, name: str):
        try:
            return json.loads(self._path(name).read_text("utf-8"))
        except ValueError:
            raise UserError(f"The {name} of {self.adapter.repo} is not JSON.") from None


def _said(answer: dict, words: int | None) -> tuple:
    return answer["answer"].split()[:words], words is None and answer["stopped"]
