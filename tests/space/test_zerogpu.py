"""ZeroGPU without a GPU: the real `spaces` package against a scheduler of our own, in a process of its own.

What crosses to the worker is pickled for real; the CUDA initialisation alone is left out.
"""

import json

import pytest

from tests.space.conftest import HERE, SECOND, environment, python


@pytest.mark.parametrize(("beside", "models"), [pytest.param("", 2, marks=pytest.mark.slow), (SECOND, 3)])
def test_both_modes_run_in_one_worker_with_the_time_asked_for(hub, published, beside, models):
    env = environment(hub, published.home, KIRA_BESIDE_REPOS=beside)
    done = python(HERE / "zerogpu_probe.py", env=env, timeout_s=200)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["loaded_at_once"]
    assert said["seconds"] == ["6", "6", "6", "6", "25"], "5 s and a hundredth of a second for each token"
    assert said["chat"] == said["compare"][1] and said["steps"] > 0
    assert len(set(said["compare"])) == len(said["compare"]) == models
    assert said["workers"] >= 1 and said["too_long"].endswith("please shorten it.")
    assert said["after_stop"] == 4, "a stopped answer leaves the worker free for the next"
    assert said["released"] == said["leases"], "whatever ended an answer, its GPU is given back"
    assert said["free"] == {"paid": 1, "asked later": 0, "cached": True, "emergency": "emergency",
                            "declined": "scope"}, "one lease for an example, and none for what no model says"
    refused = said["refused"]
    assert "There is more in 3:00:00" in refused["quota"] and "signed in" in refused["quota"]
    assert "signed in" in refused["no token"] and "a program sends a token" in refused["no token"]
    assert "within a minute" in refused["timeout"]
    assert "come back" in refused["none"] and "come back" in refused["broken"]
    assert all(sentence.endswith("Results, fixed advice and answered examples need no GPU.")
               for sentence in refused.values())
