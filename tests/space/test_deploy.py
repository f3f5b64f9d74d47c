"""`deploy` makes both Spaces of what was committed, pinned to a run, and leaves alone what their owner set."""

import subprocess

import pytest
import yaml
from huggingface_hub import HfApi, hf_hub_download

from tests.space.conftest import ROOT, environment, python
from train_space import staging
from train_space.staging import Pinned, Served

MAIN, TRAINING = "kira/space", "kira/space-training"


@pytest.fixture(scope="module")
def api(hub):
    return HfApi(endpoint=hub, token="local-write")


@pytest.fixture(scope="module")
def deploy(hub, published, tmp_path_factory):
    """Runs the command, and returns what it printed."""
    work = tmp_path_factory.mktemp("work")
    (work / "embedded").mkdir()
    (work / "embedded" / "space.env").write_text(
        f"KIRA_ADAPTER_REPO=kira/tiny-lora\nKIRA_ADAPTER_REVISION={published.shas['main']}\n")

    def run(*arguments, repo=MAIN, **variables):
        env = environment(hub, published.home, **variables)
        env = {name: value for name, value in env.items() if not name.startswith("KIRA_") or name in variables}
        done = python("-m", "train_space", "deploy", repo, "--work", work, *arguments, env=env)
        assert done.returncode == 0, done.stderr
        assert "local-write" not in done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def deployed(deploy):
    return deploy()


def front_matter(api, repo, folder):
    path = hf_hub_download(repo, "README.md", repo_type="space", endpoint=api.endpoint, local_dir=folder)
    return yaml.safe_load(open(path, encoding="utf-8").read().split("\n---\n")[0])


def test_both_spaces_are_made_and_pinned_to_the_run(api, deployed, published, tmp_path):
    base, adapter = published.shas["base"], published.shas["main"]
    front = front_matter(api, MAIN, tmp_path)
    assert front["models"] == ["kira/tiny", "kira/tiny-lora"] and front["datasets"] == ["kira/tiny-split"]
    first, second = (entry.split(" ") for entry in front["preload_from_hub"])
    assert first[::2] == ["kira/tiny", base] and {"model.safetensors", "tokenizer.json"} <= {*first[1].split(",")}
    assert second[::2] == ["kira/tiny-lora", adapter] and "manifest.json" in second[1].split(",")
    assert {name: v.value for name, v in api.get_space_variables(MAIN).items()} == {
        "KIRA_ADAPTER_REPO": "kira/tiny-lora", "KIRA_ADAPTER_REVISION": adapter,
        "KIRA_BASE_REPO": "kira/tiny", "KIRA_BASE_REVISION": base}
    assert {name: v.value for name, v in api.get_space_variables(TRAINING).items()} == {"KIRA_BASE_REPO": "kira/tiny"}
    assert front_matter(api, TRAINING, tmp_path)["hf_oauth"] is True
    assert not api.get_space_secrets(MAIN) and not api.get_space_secrets(TRAINING)  # no token without need
    hardware = [api.get_space_runtime(repo).requested_hardware for repo in (MAIN, TRAINING)]
    assert hardware == ["zero-a10g", "cpu-basic"]
    for repo in (MAIN, TRAINING):
        titles = [commit.title for commit in api.list_repo_commits(repo, repo_type="space")]
        assert len(titles) == 2 and titles[0].startswith("Deploy ") and titles[1] == "initial commit"
        assert api.get_space_runtime(repo).stage != "NO_APP_FILE"


def test_again_nothing_is_sent_and_the_owners_settings_stay(api, deploy, deployed):
    api.add_space_variable(MAIN, "KIRA_VOTES_REPO", "kira/votes")
    api.add_space_secret(MAIN, "HF_TOKEN", "a narrower token")
    api.request_space_hardware(MAIN, "t4-small")
    before = api.get_space_variables(MAIN), api.get_space_secrets(MAIN)
    assert deploy() == deployed  # the same heads
    assert (api.get_space_variables(MAIN), api.get_space_secrets(MAIN)) == before
    assert api.get_space_runtime(MAIN).requested_hardware == "t4-small"


def test_what_the_environment_says_goes_along(api, deploy, tmp_path):
    """A token only where votes are kept; keys as secrets; the run's revision whatever the environment names."""
    said = {"KIRA_VOTES_REPO": "kira/votes", "KIRA_INFERENCE_TOKEN": "canary-key", "KIRA_ADAPTER_REVISION": "v0"}
    options = ("--hardware", "cpu-upgrade", "--training-hardware", "t4-small")
    told = deploy("--dry-run", *options, repo="kira/other", **said)
    assert not api.repo_exists("kira/other", repo_type="space") and "canary-key" not in told
    assert {"app.py", "secret     HF_TOKEN, unless the Space has one"} <= set(told.splitlines())
    assert "canary-key" not in deploy(*options, repo="kira/other", **said)
    assert set(api.get_space_secrets("kira/other")) == {"HF_TOKEN", "KIRA_INFERENCE_TOKEN"}
    variables = api.get_space_variables("kira/other")
    assert variables["KIRA_VOTES_REPO"].value == "kira/votes" and "KIRA_INFERENCE_TOKEN" not in variables
    assert len(variables["KIRA_ADAPTER_REVISION"].value) == 40
    assert api.get_space_runtime("kira/other").requested_hardware == "cpu-upgrade"
    assert api.get_space_runtime("kira/other-training").requested_hardware == "t4-small"


def test_only_what_was_committed_is_staged(tmp_path):
    clone, model = tmp_path / "clone", Pinned("kira/tiny", "0" * 40, (), True)
    subprocess.run(["git", "clone", "-q", "--shared", ROOT, clone], check=True)
    served, before = Served(model, model, None), (clone / "app.py").read_bytes()
    (clone / "app.py").write_text("unfinished")
    (clone / "kira" / "private.py").write_text("private")
    (clone / ".env").write_text("private")
    main, training = staging.main_space(served, clone), staging.training_space(clone)
    assert main["app.py"] == before and staging.left_out(clone) == ["app.py", "kira/private.py"]
    assert not [name for files in (main, training) for name in files if "private" in name or name.startswith(".")]
    assert not {"train_space/deploy.py", "localhub/store.py"} & main.keys() and "tests" not in str(training.keys())
    lines = training["requirements.txt"].decode().splitlines()
    assert "gradio==6.31.0" in lines and "datasets==5.2.0" in lines


def test_without_a_published_run_it_says_what_to_do(tmp_path, hub, published):
    done = python("-m", "train_space", "deploy", MAIN, "--work", tmp_path, env=environment(hub, published.home))
    assert done.returncode == 1 and "There is no published run" in done.stderr and "Traceback" not in done.stderr
