"""Recipes say what they take, in one sentence."""

import subprocess
import sys

import pytest

from kira.errors import UserError
from train_space import recipe as recipes


def test_seed_is_the_ancestors():
    seed = recipes.load("seed")
    assert (seed.base_repo, seed.quantization) == ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "nf4")
    assert (seed.lora_r, seed.lora_alpha, seed.target_modules) == (16, 32, "q_proj,k_proj,v_proj,o_proj")
    assert (seed.learning_rate, seed.batch_size, seed.gradient_accumulation_steps) == (2e-4, 4, 4)
    assert (seed.epochs, seed.max_length, seed.warmup_steps, seed.split) == (3.0, 512, 100.0, "random")


@pytest.mark.parametrize(("overrides", "said"), [
    ({"lora_rank": "8"}, "unknown field 'lora_rank'"),
    ({"lora_r": "0"}, "lora_r is 0; it takes a number from 1"),
    ({"lora_r": "many"}, "lora_r is 'many'; it takes a int"),
    ({"learning_rate": ".nan"}, "learning_rate is nan"),
    ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
    ({"split": "even"}, "split is 'even'; it takes one of topic, random"),
    ({"packing": "1"}, "packing is 1; it takes a bool"),
    ({"source": "jsonl"}, "source_location is empty"),
    ({"source": "web"}, "source is 'web'; it takes one of flashcards"),
    ({"source": "hpo,jsonl", "source_location": "'a,b'", "source_licence": "one"}, "source_licence has 1 values for 2"),
    ({"source": "hpo,web", "source_location": "'a,b'", "source_licence": "c,d"}, "source is 'web'"),
    ({"name": "a/b"}, "name takes lower-case letters"),
    ({"seed": "[1"}, "not valid YAML"),
])
def test_bad_fields(overrides, said):
    with pytest.raises(UserError, match=None) as error:
        recipes.load("embedded", overrides)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_numbers_as_yaml_1_1_reads_them():
    assert recipes.load("embedded", {"learning_rate": "2e-4"}).learning_rate == 2e-4


@pytest.mark.parametrize("arguments", [
    ["run", "--recipe", "no-such"], ["run", "--set", "lora_r"], ["train", "--set", "epochs=-1"],
    ["evaluate", "--adapter", "x"], ["evaluate", "--adapter", "x", "--data", "no.jsonl", "--out", "m.json"],
])
def test_command_line_says_one_sentence(arguments, tmp_path):
    done = subprocess.run([sys.executable, "-m", "train_space", *arguments, "--work", str(tmp_path)],
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("train_space: ")
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
