"""Answers during training: they change nothing that is learnt, and their scores are those that evaluation gives."""

import json
import shutil
from types import SimpleNamespace

import pytest

from tests.pipeline.conftest import losses, outcome, push
from train_space import progress, recipe, train
from train_space.files import read_json, write_json_lines

ROWS, STEPS = 5, [0, 4, 8, 12]  # the tiny recipe's probe, and its validations after the untrained model


def probed(log: str) -> list[dict]:
    return [entry for entry in map(json.loads, log.splitlines()) if "probe_n" in entry]


def trained(hub, tiny_recipe, prepared, work, *changed):
    shutil.copytree(prepared, work)
    hub.kira("train", "--recipe", tiny_recipe, "--work", work, *(a for c in changed for a in ("--set", c)))
    return outcome(work)


@pytest.fixture(scope="module")
def biased_base(hub, tiny_base, tmp_path_factory):
    """Hub id of a base that the decoder does not compute, so that transformers' `generate` answers."""
    folder = tmp_path_factory.mktemp("biased")
    hub.python("-c", "import sys\nfrom transformers import AutoConfig, AutoModelForCausalLM as M, AutoTokenizer as T\n"
               "config = AutoConfig.from_pretrained(sys.argv[1]); config.attention_bias = True\n"
               "for made in (M.from_config(config), T.from_pretrained(sys.argv[1])): made.save_pretrained(sys.argv[2])",
               tiny_base, folder)
    push(hub, folder, "kira/tiny-biased")
    return "kira/tiny-biased"


@pytest.mark.slow
@pytest.mark.parametrize("answered_by", ["decoder", "generate"])
def test_training_is_the_same_to_the_byte_with_and_without(hub, tiny_recipe, prepared, biased_base, tmp_path,
                                                           answered_by):
    more = (f"base_repo={biased_base}", "activation_checkpointing=true") if answered_by == "generate" else ()
    runs = {rows: trained(hub, tiny_recipe, prepared, tmp_path / str(rows), f"generation_probe_rows={rows}", *more)
            for rows in (0, ROWS)}
    (plain_adapter, plain_log), (adapter, log) = runs[0], runs[ROWS]
    assert adapter == plain_adapter
    assert [line for line in log.splitlines() if "probe_n" not in line] == plain_log.splitlines()
    assert [entry["step"] for entry in probed(log)] == STEPS and not probed(plain_log)
    assert losses(log)


@pytest.mark.slow
def test_scores_are_those_of_evaluation(hub, tiny_recipe, prepared, tmp_path):
    """Step 0 scores as the base does, the kept step as the adapter: on the same rows, by the other command."""
    work = tmp_path / "work"
    log = trained(hub, tiny_recipe, prepared, work)[1]
    made = recipe.load(str(tiny_recipe))
    first = train._rows(work / "tiny", "validation", made.validation_rows, made.split_seed).select(range(ROWS))
    data = tmp_path / "rows.jsonl"
    write_json_lines(data, [{"question": row["prompt"][-1]["content"], "answer": row["completion"][0]["content"]}
                            for row in first])
    hub.kira("evaluate", "--recipe", tiny_recipe, "--adapter", work / "tiny" / "train" / "adapter", "--data", data,
             "--out", tmp_path / "metrics.json")
    runs = read_json(tmp_path / "metrics.json")["runs"]
    learnt = read_json(work / "tiny" / "recipe.json")["stages"]["train"]
    logged = {entry["step"]: entry for entry in probed(log)}
    for step, run in ((0, "base"), (learnt["kept_step"], "tuned")):
        assert logged[step]["probe_n"] == ROWS == runs[run]["n"]
        for name in ("rougeL", "token_f1", "length_ratio", "stop_rate"):
            assert logged[step][f"probe_{name}"] == pytest.approx(runs[run]["metrics"][name], abs=1e-12), name
    assert logged[0] | {"step": 12, "epoch": 1.0} != logged[12]
    assert learnt["probe_time_s"] > 0


def test_time_while_the_clock_is_stopped_is_in_no_other_part(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    clock, asked = progress.Clock(), SimpleNamespace(should_evaluate=True, should_save=False)
    clock.on_train_begin(None, None, None)
    now[0] = 10.0
    clock.on_step_end(None, None, asked)
    now[0] = 12.0
    with clock.stopped():
        now[0] = 112.0
    now[0] = 113.0
    clock.on_evaluate(None, None, None)
    assert clock.seconds == {"steps": 10.0, "validations": 3.0, "checkpoints": 0.0} and clock.stopped_s == 100.0
