"""kill -9 at chosen places of training: what is resumed ends as if nothing had happened, to the byte."""

import random
import shutil
import signal

import pytest

from tests.pipeline.conftest import outcome

pytestmark = pytest.mark.slow
STEPS = 12
KILLED = """
import os, signal, sys, transformers
place, count = sys.argv.pop(1), int(sys.argv.pop(1))  # a method of Trainer and which call of it to die after, or "step"

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

class AtStep(transformers.TrainerCallback):
    def on_step_end(self, arguments, state, control, **_):
        if state.global_step == count:
            die()

begin = transformers.Trainer.__init__
def patched(self, *arguments, **more):
    begin(self, *arguments, **more)
    if place == "step":
        self.add_callback(AtStep())
        return
    owner = self.callback_handler if place == "on_save" else self
    real, calls = getattr(owner, place), [0]
    def counted(*a, **k):
        calls[0] += 1
        if calls[0] == count and place == "on_save":  # all is written but the mark, which this call would make
            die()
        made = real(*a, **k)
        return die() if calls[0] == count else made
    setattr(owner, place, counted)

transformers.Trainer.__init__ = patched
from train_space.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
# In the order in which they write a checkpoint, each with the save since the start of the process in which to die.
WITHIN_A_SAVE = {"save_model": 1, "_save_optimizer_and_scheduler": 2, "_save_scaler": 1, "_save_rng_state": 2,
                 "on_save": 1}


def killed(hub, tiny_recipe, work, place, count):
    done = hub.python("-c", KILLED, place, count, "train", "--recipe", tiny_recipe, "--work", work, check=False)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def test_killed_at_ten_random_steps(hub, tiny_recipe, prepared, uninterrupted, tmp_path, record_property):
    work = tmp_path / "work"
    shutil.copytree(prepared, work)
    steps = sorted(random.Random(11).choices(range(1, STEPS), k=10))
    for step in steps:
        killed(hub, tiny_recipe, work, "step", step)
    hub.kira("train", "--recipe", tiny_recipe, "--work", work)
    assert outcome(work) == uninterrupted
    record_property("measured", f"one run killed at steps {', '.join(map(str, steps))}: adapter and losses the same")


def test_killed_at_five_moments_within_a_save(hub, tiny_recipe, prepared, uninterrupted, tmp_path, record_property):
    work = tmp_path / "work"
    shutil.copytree(prepared, work)
    for place, count in WITHIN_A_SAVE.items():
        killed(hub, tiny_recipe, work, place, count)
        begun = list((work / "tiny" / "train").glob("checkpoint-*"))
        assert [folder for folder in begun if not (folder / "complete.json").exists()], "it died in the midst of one"
    hub.kira("train", "--recipe", tiny_recipe, "--work", work)
    assert outcome(work) == uninterrupted
    record_property("measured", f"one run killed in {', '.join(WITHIN_A_SAVE)}: adapter and losses the same")
