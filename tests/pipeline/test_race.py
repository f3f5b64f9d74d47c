"""Two publishers who saw the same head: one commit is made, the other is told."""

import json

import pytest

from tests.pipeline.conftest import push

TRIALS = 20
RACE = """
import json, sys, threading
from pathlib import Path
from huggingface_hub import HfApi
from kira.errors import UserError
from train_space.publish import push_folder

folders, repo, trials = list(map(Path, sys.argv[1:3])), sys.argv[3], int(sys.argv[4])
barrier, look = threading.Barrier(2), HfApi.list_repo_files

def look_and_wait(*arguments, **options):
    found = look(*arguments, **options)
    barrier.wait(60)  # both know the head now and have committed nothing
    return found

HfApi.list_repo_files = look_and_wait
told = []
for trial in range(trials):
    ended = []
    def publish(folder):
        (folder / "who.txt").write_text(f"{folder.name} {trial}")
        try:
            ended.append(["won", push_folder(folder, repo, "model", "race")])
        except UserError as error:
            ended.append(["told", str(error)])
    racers = [threading.Thread(target=publish, args=(folder,)) for folder in folders]
    [racer.start() for racer in racers]
    [racer.join() for racer in racers]
    told.append([sorted(ended), HfApi().model_info(repo).sha])
print(json.dumps([told, len(HfApi().list_repo_commits(repo))]))
"""


@pytest.mark.parametrize("trials", [1, pytest.param(TRIALS, marks=pytest.mark.slow)])
def test_one_of_two_publishers_wins_and_the_other_is_told(hub, tmp_path, trials, record_property):
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
        (folder / "weights.safetensors").write_bytes(folder.name.encode() * 100)
    repo = f"kira/race-{trials}"
    push(hub, folders[0], repo)
    done = hub.python("-c", RACE, *folders, repo, trials)
    raced, commits = json.loads(done.stdout.splitlines()[-1])
    for (told, won), head in raced:
        assert (told[0], won[0]) == ("told", "won") and won[1] == head
        assert "the repository moved on meanwhile; look at what changed there" in told[1]
    assert commits == 2 + trials, "creation, the first content, and one for each race"
    record_property("measured", f"{len(raced)} races: one winner each, the other told that the repository moved on")
