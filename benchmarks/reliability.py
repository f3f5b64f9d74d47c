"""Runs the tests that prove each line of the reliability programme and keeps a row for each: what is promised, what was
measured, by which command, on what machine, when.

    python -m benchmarks.reliability [--only ID]... [--minutes N]

A row's figures are those that its tests record (`record_property("measured", ...)`), else how many of them passed; it
holds when all did. Nothing is measured here that a test does not check.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

from train_space.stages import hardware

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results" / "reliability.jsonl"
SPACE, PIPELINE, HUB = "tests/space", "tests/pipeline", "tests/localhub"
PROGRAMME = {  # id: (what, target, the tests)
    "L1": ("many at once", "8 answered and 8 waiting, the rest told within 3.5 s; 0 hung, 0 other errors",
           [f"{SPACE}/test_load.py::test_as_many_are_served_as_there_are_places_and_the_others_told_at_once"]),
    "L2": ("waiting", "in turn; one's place is told within 1 s",
           [f"{SPACE}/test_load.py::test_who_waits_is_served_in_turn_and_sees_a_place_at_once"]),
    "L3": ("soak of 20 users", "RSS < 5 % more after minute 2; at most 2 more threads, 2 more open files",
           [f"{SPACE}/test_load.py::test_soak"]),
    "L4": ("abandoned answers", "0 of 100 generate on; next first token within 0.55 s",
           [f"{SPACE}/test_load.py::test_abandoned_answers_end"]),
    "F4": ("damaged adapters", "all detected before the first answer, the base answers alone and says why",
           [f"{SPACE}/test_loading.py::test_a_damaged_adapter_leaves_the_base_alone_and_says_why"]),
    "F6": ("kill -9 while training", "10 at random steps, 5 within a checkpoint: the same adapter to the byte",
           [f"{PIPELINE}/test_kills.py"]),
    "F7": ("newest checkpoint damaged", "training goes on from the one before: the same adapter to the byte",
           [f"{PIPELINE}/test_training.py::test_killed_runs_end_as_if_nothing_had_happened"]),
    "F8": ("full disk", "one sentence, the files before intact",
           [f"{PIPELINE}/test_run.py::test_full_disk_leaves_the_old_files", f"{HUB}/test_crash.py::test_full_disk",
            "tests/data/test_prepare.py::test_full_disk_keeps_the_old_split"]),
    "F9": ("local Hub killed amid commits", "the old commit or the new one",
           [f"{HUB}/test_crash.py::test_killed_at_random_moments"]),
    "F10": ("two publishers at once", "one wins, the other is told that the repository moved on; 20 of 20",
            [f"{PIPELINE}/test_race.py::test_one_of_two_publishers_wins_and_the_other_is_told[20]"]),
    "F12": ("out of memory in one answer", "a sentence; neighbours and the next one unharmed",
            [f"{SPACE}/test_health.py::test_out_of_memory_is_one_visitor_s_and_a_sentence"]),
    "F13": ("/health", "503 with the reason unless the model makes tokens",
            [f"{SPACE}/test_health.py::test_{name}" for name in (
                "a_model_that_answers_is_healthy", "only_a_token_is_proof", "a_decoder_that_fails_is_told",
                "a_decoder_that_hangs_is_told", "while_loading_and_without_a_model_it_says_so")]),
    "B1": ("questions and settings out of bounds", "one sentence, by two endpoints",
           [f"{SPACE}/test_endpoints.py::test_what_is_out_of_bounds_is_refused_in_one_sentence"]),
    "B4": ("malformed requests", "no 500, no traceback, no broken stream", [f"{SPACE}/test_malformed.py"]),
    "B5": ("40 payloads, typed and said by the model", "0 dialogs, 0 requests elsewhere, nothing of it becomes HTML",
           [f"{SPACE}/test_payloads.py"]),
    "B7": ("typed control tokens", "the template's control ids and no other", [f"{SPACE}/test_control_tokens.py"]),
    "P1": ("a canary by every route", "0 occurrences in output and files",
           [f"{SPACE}/test_privacy.py::test_nothing_typed_is_anywhere_afterwards"]),
    "P3": ("two sessions", "200 interleaved calls, each its own",
           [f"{SPACE}/test_privacy.py::test_two_sessions_never_see_each_other"]),
    "S1": ("what is fetched", "at a full commit, nothing that can run code, no secret in the repository, all pinned",
           ["tests/test_supply_chain.py"]),
    "X1": ("HF_TOKEN", "0 occurrences in output and files of every command, failing ones included",
           [f"{PIPELINE}/test_secrets.py"]),
}


def proved(tests: list[str], minutes: float) -> tuple[bool, str]:
    """(whether all passed, what they measured) of a run of these tests. SystemExit if there are none."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        subprocess.run([sys.executable, "-m", "pytest", *tests, "-o", "junit_family=xunit1", "--junitxml", report,
                        "--timeout", str(int(minutes * 60 + 900))], cwd=ROOT,
                       env=os.environ | {"KIRA_SOAK_MINUTES": str(minutes), "KIRA_FUZZ_EXAMPLES": "100"})
        cases = list(ElementTree.parse(report).iter("testcase")) if report.is_file() else []
    if not cases:
        raise SystemExit(f"No test ran of {', '.join(tests)}.")
    passed = sum(not {child.tag for child in case} & {"failure", "error", "skipped"} for case in cases)
    figures = [p.get("value") for case in cases for p in case.iter("property") if p.get("name") == "measured"]
    return passed == len(cases), "; ".join([*figures, f"{passed} of {len(cases)} tests"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PROGRAMME, help="may be repeated; default: all")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the soak, L3 (default: 10)")
    arguments = parser.parse_args()
    found = hardware()
    for name in arguments.only or PROGRAMME:
        what, target, tests = PROGRAMME[name]
        holds, measured = proved(tests, arguments.minutes)
        row = {"id": name, "what": what, "target": target, "measured": measured, "holds": holds,
               "command": f"python -m benchmarks.reliability --only {name}",
               "machine": f"{found['cpu']}, {found['cores']} cores, {platform.system()}",
               "date": time.strftime("%Y-%m-%d")}
        rows = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()] if RESULTS.is_file() else []
        rows = [r for r in rows if r["id"] != name] + [row]
        rows.sort(key=lambda r: list(PROGRAMME).index(r["id"]))
        RESULTS.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
        print(json.dumps(row, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
