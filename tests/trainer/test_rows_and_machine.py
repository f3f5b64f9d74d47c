"""What the training page takes, and who may train: without a browser."""

import inspect
import json
import sys
import time
from pathlib import Path

import pytest

from kira.errors import UserError
from train_space import recipe as recipes
from train_space import ui_data, ui_job, ui_machine, ui_recipe
from train_space.ui_visitor import Visitor

ADA, BOB = Visitor("ada", "hf-a"), Visitor("bob", "hf-b")


@pytest.fixture
def written(tmp_path):
    def write(content, name="rows.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("name, content, sentence", [
    ("rows.txt", "a,b\n1,2\n", "Please upload a .csv or .jsonl file."),
    ("rows.csv", "", "no rows"),
    ("rows.csv", "question,answer\n", "no rows"),
    ("rows.csv", "question,answer\nWhat?,b,c\n", "more values"),
    ("rows.csv", 'question,answer\n"What?,b\n', "not readable as CSV"),
    ("rows.csv", b"question,answer\n\xff\xfe,b\n", "UTF-8"),
    ("rows.csv", "q,a\n" + "x,y\n" * (ui_data.MAX_ROWS + 1), "more than 20,000 rows"),
    ("rows.csv", b"q,a\n" + b"x" * (ui_data.MAX_UPLOAD_MB * 2**20), "larger than 10 MB"),
    ("rows.csv", ",".join(f"c{i}" for i in range(60)) + "\n" + "1," * 59 + "1\n", "more than 50 columns"),
    ("rows.jsonl", '{"question": "a"}\n[1]\n', "Line 2 of the file"),
    ("rows.jsonl", "[" * 100_000, "Line 1 of the file"),
])
def test_a_bad_upload_is_refused_with_a_sentence(written, name, content, sentence):
    with pytest.raises(UserError, match=sentence):
        ui_data.read_upload(written(content, name))


def test_columns_are_guessed_and_mapped(written):
    path = written('\ufeffid,Term,Definition\n1,fever,"hot, very"\n2,,nothing\n')
    rows = ui_data.read_upload(path)
    assert ui_data.guesses(ui_data.columns(rows)) == ("Term", "Definition")
    assert ui_data.mapped(rows, "Term", "Definition") == [{"question": "fever", "answer": "hot, very"}]
    with pytest.raises(UserError, match="two different columns"):
        ui_data.mapped(rows, "Term", "Term")


@pytest.mark.parametrize("field, value, sentence", [
    ("epochs", 11, "Epochs takes at most 10"), ("lora_r", 1000, "LoRA rank takes at most"),
    ("epochs", None, "takes a number"), ("learning_rate", -1, "learning_rate"), ("lora_r", 4.5, "lora_r"),
])
def test_the_pages_limits_hold_in_code(field, value, sentence):
    start = recipes.load("embedded")
    names = [*ui_recipe.MAIN, *ui_recipe.MORE]
    values = [value if name == field else getattr(start, name) for name in names]
    with pytest.raises(UserError, match=sentence):
        ui_recipe.build("ada", "mine", start, values, {})


@pytest.mark.parametrize("name", ["", "../x", "A", "-a", "a--b", "a" * 61])
def test_a_name_is_one_of_a_folder_and_a_repository(name):
    start = recipes.load("embedded")
    with pytest.raises(UserError, match="The name takes"):
        ui_recipe.build("ada", name, start, [getattr(start, n) for n in [*ui_recipe.MAIN, *ui_recipe.MORE]], {})


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setattr(ui_machine, "WORK", tmp_path / "kira-training-1")
    monkeypatch.setattr(ui_machine, "COMMANDS", {ui_machine.TRAIN: [["--help"]]})
    made = ui_machine.Machine()
    yield made
    made.close()
    assert not (tmp_path / "kira-training-1").exists()


def test_one_run_at_a_time_and_each_visitor_sees_only_their_own(machine, monkeypatch):
    slow = [sys.executable, "-c", "import time; time.sleep(600)"]
    real = ui_machine.subprocess.Popen
    monkeypatch.setattr(ui_machine.subprocess, "Popen", lambda arguments, **more: real(slow, **more))
    run = machine.claim(ADA)
    run.recipe = recipes.load("embedded")
    machine.start(ADA, ui_machine.TRAIN)
    with pytest.raises(UserError, match="Your run is going on"):
        machine.start(ADA, ui_machine.TRAIN)
    with pytest.raises(UserError, match="Somebody else is training"):
        machine.claim(BOB)
    assert machine.run_of(BOB) is None
    machine.cancel(BOB)
    machine.discard(BOB)
    assert run.is_running
    while run.process is None:
        time.sleep(0.01)
    assert "HF_TOKEN=hf-a" in Path(f"/proc/{run.process.pid}/environ").read_text()
    machine.cancel(ADA)
    assert run.ended == "cancelled" and run.process.poll() is not None
    machine.discard(ADA)
    assert not run.folder.exists()
    machine.claim(BOB)


def test_nothing_unmeasured_is_published(machine):
    machine.claim(ADA)
    with pytest.raises(UserError, match="nothing measured"):
        machine.start(ADA, ui_machine.PUBLISH)


def test_a_job_is_called_as_the_hubs_client_takes_it(monkeypatch):
    from huggingface_hub import constants, run_uv_job

    recipe = recipes.load("tuned")
    call = ui_job.call(recipe, ADA, "t4-small", "ada/trainer")
    inspect.signature(run_uv_job).bind("job.py", **call)
    compile(ui_job.SCRIPT, "job.py", "exec")
    assert ADA.token not in json.dumps(call["env"]) and any(d.startswith("trl==") for d in call["dependencies"])
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(UserError, match="has no jobs"):
        ui_job.submit(recipe, ADA, "t4-small", False)


def test_a_published_run_keeps_no_text(machine, monkeypatch, tmp_path):
    real = ui_machine.subprocess.Popen
    monkeypatch.setattr(ui_machine.subprocess, "Popen", lambda arguments, **more: real(["true"], **more))
    monkeypatch.setattr(ui_machine, "COMMANDS", {ui_machine.PUBLISH: [["publish"]]})
    run = machine.claim(ADA)
    run.recipe, run.measured = recipes.load("embedded"), True
    run.uploads.add(tmp_path / "upload.csv")
    texts = [tmp_path / "upload.csv", run.folder / "rows.jsonl", run.folder / "datasets" / "a" / "b.arrow",
             *(run.run_dir / name for name in ("data/data/x.parquet", "publication/README.md",
                                               "evaluation/answers.jsonl", "evaluation/probe_answers.jsonl"))]
    figures = [run.run_dir / "evaluation" / "metrics.json", run.run_dir / "published.json"]
    for path in texts + figures:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    machine.start(ADA, ui_machine.PUBLISH)
    while run.is_running:
        time.sleep(0.01)
    with machine.lock:  # what follows the end is done under it
        assert run.ended == "done" and not [p for p in texts if p.exists()] and all(p.exists() for p in figures)
