"""The small rules, as tables."""

import pytest

from localhub.card import card_problems
from localhub.errors import Invalid
from localhub.lfs_rules import initial_gitattributes, is_ignored, is_large
from localhub.names import check_branch, check_path, check_tag

MODEL, DATASET = (initial_gitattributes(kind).decode() for kind in ("models", "datasets"))


@pytest.mark.parametrize("path, size, large", [
    ("model.safetensors", 1, True), ("a/b/c.parquet", 1, True), ("events.out.tfevents.1", 1, True),
    ("saved_model/x/y.txt", 1, True), ("config.json", 100, False), ("config.json", 11 << 20, True),
    ("plots/loss.png", 1, False), ("model.bin", 0, False), ("safetensors", 1, False),
])
def test_what_is_large(path, size, large):
    assert is_large(path, size, MODEL) is large


def test_large_rules_can_be_changed():
    assert is_large("x.png", 1, DATASET)
    assert not is_large("model.bin", 1, MODEL + "model.bin -filter\n")
    assert not is_large("a/x.bin", 1, "*.bin filter=lfs\na/*.bin !filter\n")


@pytest.mark.parametrize("path, ignored", [
    ("a.log", True), ("deep/a.log", True), ("keep.log", False), ("build/x", True), ("src/build/x", True),
    ("build", False), ("top.txt", True), ("sub/top.txt", False), ("doc/a/b.pdf", True), ("a.txt", False),
])
def test_what_is_ignored(path, ignored):
    rules = "# comment\n*.log\n!keep.log\nbuild/\n/top.txt\ndoc/**/*.pdf\n"
    assert is_ignored(path, rules) is ignored


@pytest.mark.parametrize("path", ["a", "a/b.txt", "to?<>/awful?file%name:here", "ünïcode/文件", ".gitattributes",
                                  "a..b"])
def test_good_paths(path):
    assert check_path(path) == path


@pytest.mark.parametrize("path", ["", "/a", "a//b", "../a", "a/../b", "a/..", "./a", "a/", ".git/config", "a/.GIT/x",
                                  "a\0b", "a\nb", "a\\b", "x" * 256, None, 3])
def test_bad_paths(path):
    with pytest.raises(Invalid):
        check_path(path)


@pytest.mark.parametrize("name", ["", "a b", "a..b", "/a", "a/", "-a", "a.lock", "a~1", "refs/heads/x", "@", "a" * 40])
def test_bad_branches(name):
    with pytest.raises(Invalid):
        check_branch(name)


def test_good_refs():
    check_branch("exp/one-2.0")
    check_tag("v1.0")


INDEX = "model-index:\n- name: m\n  results:\n  - task: {type: t}\n    dataset: {type: d, name: D}\n    metrics: [%s]\n"


@pytest.mark.parametrize("front, repo_type, error", [
    ("license: mit\n" + INDEX % "{type: rouge, value: 0.4}", "model", None),
    ("license: [mit, apache-2.0]\n", "model", None),
    ("license: my-own\n", "dataset", '"license" must be one of'),
    ("model-index: foo\n", "model", '"model-index" must be an array'),
    (INDEX % "{type: rouge}", "model", "metrics[0].value"),
    ("model-index:\n- results: []\n", "model", "name"),
    ("tags: {a: b}\n", "model", '"tags"'),
    ("sdk: gradio\ncolorFrom: red\nshort_description: short\n", "space", None),
    ("sdk: flask\n", "space", '"sdk"'),
    ("colorTo: teal\n", "space", '"colorTo"'),
    (f"short_description: {'x' * 61}\n", "space", "60 characters"),
    ("a: [\n", "model", "not valid YAML"),
    ("- a\n", "model", "must be a mapping"),
])
def test_cards(front, repo_type, error):
    errors, warnings = card_problems(f"---\n{front}---\ntext\n", repo_type)
    assert (errors == []) if error is None else (error in errors[0])
    assert not warnings


def test_card_without_metadata_is_a_warning():
    assert card_problems("just text", "model") == ([], ["empty or missing yaml metadata in repo card"])
