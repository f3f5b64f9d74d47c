"""The token that publishes is in nothing that is printed, written or published, whatever goes wrong."""

import json

import pytest

TOKEN = "hf_" + "SecretOfNobody0123456789abcdefgh"


def holding(folder, token):
    return [str(path) for path in folder.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]


@pytest.fixture
def failing(hub, tiny_recipe, prepared, tmp_path):
    """Command lines that each fail in a way of its own, with that token set."""
    (tmp_path / "bad.yaml").write_text("source: nothing\n")
    (tmp_path / "sweep.yaml").write_text("nothing: 1\n")
    nobody = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    recipe, work = ["--recipe", tiny_recipe], ["--work", tmp_path / "work"]
    return [
        (["train_space", "run", *recipe, *work], {}),  # the token is none
        (["train_space", "run", *recipe, *work], nobody),
        (["train_space", "prepare", *recipe, *work, "--set", "base_repo=kira/none"], {}),
        (["train_space", "prepare", "--recipe", tmp_path / "bad.yaml", *work], {}),
        (["train_space", "train", *recipe, *work], {}),
        (["train_space", "evaluate", *recipe, *work], {}),
        (["train_space", "publish", *recipe, *work], {}),
        (["train_space", "verify", "kira/none"], {}),
        (["train_space", "verify", "kira/none"], nobody),
        (["train_space", "release", "--folder", tmp_path], {}),
        (["train_space", "sweep", tmp_path / "sweep.yaml", *work], {}),
        (["localhub", "exec", "--root", tmp_path / "hub", "--", "no-such-command"], {}),
        (["app"], {"KIRA_MAX_TURNS": TOKEN[:3]}),
        (["app"], {"GRADIO_SERVER_PORT": hub.endpoint.rsplit(":", 1)[1]}),
    ]


@pytest.mark.slow
def test_no_failing_command_prints_or_keeps_the_token(hub, failing, tmp_path, record_property):
    for command, more in failing:
        done = hub.python("-m", *command, check=False, token=TOKEN, HF_HUB_VERBOSITY="debug", HF_DEBUG="1",
                          HF_HOME=str(tmp_path / "home"), **({"GRADIO_SERVER_PORT": "1"} | more))
        assert done.returncode != 0, command
        assert TOKEN not in done.stdout + done.stderr, command
    assert not holding(tmp_path, TOKEN)
    record_property("measured", f"{len(failing)} failing commands: 0 times in what they printed and wrote")


@pytest.mark.slow
def test_no_finished_run_keeps_or_publishes_the_token(hub, tiny_recipe, tmp_path, record_property):
    """With a token of the Hub's own that nothing else would spell."""
    tokens = hub.root / "tokens.json"
    before = tokens.read_text("utf-8")
    known = json.loads(before)
    tokens.write_text(json.dumps(known | {TOKEN: known["local-write"]}), "utf-8")  # the Hub reads it at every request
    try:
        hub.kira("run", "--recipe", tiny_recipe, "--work", tmp_path, "--set=adapter_repo=tiny-secret",
                 "--set=dataset_repo=tiny-secret-split", token=TOKEN)
    finally:
        tokens.write_text(before, "utf-8")
    run = tmp_path / "tiny"
    written = [path for path in run.rglob("*") if path.is_file()]
    assert len(written) > 10 and not holding(tmp_path, TOKEN)
    assert not holding(hub.root, TOKEN), "nothing of it was published"
    record_property("measured", f"a finished run: 0 times in its {len(written)} files and on the Hub")
