"""Each measure against a hand example or an independent reference; the likelihoods against a plain full pass."""

import math

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from scipy import stats
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tests import tiny_model
from train_space import choices, two_shot
from train_space.abstention import abstains
from train_space.answer_overlap import agreement, first_words, rouge_l
from train_space.compare import compare
from train_space.doses import numbers, unsupported_numbers
from train_space.generation import Decoding, generate, only_base, outputs
from train_space.likelihood import Passage, nll
from train_space.statistics import paired_difference, paired_differences


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model.make(folder)
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def plain_nll(model, passage):
    ids = torch.tensor([passage.prompt + passage.target])
    with torch.inference_mode():
        logits = model(ids).logits[0, len(passage.prompt) - 1: -1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(passage.target), reduction="sum").item()


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_likelihoods_with_a_shared_prefix_are_those_of_a_full_pass(tiny, batch_size):
    draw = np.random.default_rng(0)

    def tokens(low, high):
        return draw.integers(5, 300, draw.integers(low, high)).tolist()

    prompts, examples = [tokens(2, 20) for _ in range(4)], tokens(30, 31)
    passages = [Passage(p, tokens(1, 15), len(p)) for p in prompts for _ in range(3)]
    passages += [Passage(examples + p, tokens(1, 15), len(examples)) for p in prompts]
    passages += [Passage(examples, tokens(3, 4), 99)]  # a prefix never swallows the whole prompt
    found = nll(tiny[0], 2, passages, batch_size, "test")
    assert found == pytest.approx([plain_nll(tiny[0], p) for p in passages], abs=1e-3)


def test_sampled_answers_are_repeatable_and_do_not_hang_on_their_neighbours(tiny):
    prompts = [[5 + i, 9, 30] for i in range(5)]

    def made(size, seed):
        return outputs(*tiny, prompts, [False] * 5, Decoding(12, size), 0.7, seed)

    assert made(5, 1) == made(2, 1) != made(5, 2)
    assert made(5, 1) != outputs(*tiny, prompts, [False] * 5, Decoding(12, 5))
    greedy = generate(*tiny, prompts, {2}, Decoding(12, 5), "test")
    drawn = [generate(*tiny, prompts, {2}, Decoding(12, 5), "test", 0.7, seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2] and drawn[0] != greedy


def test_other_bases_answer_by_generate_with_and_without_the_adapter(tiny):
    torch.manual_seed(0)
    config = LlamaConfig(**(tiny[0].config.to_dict() | {"attention_bias": True}))  # no Llama that the decoder computes
    lora = LoraConfig(r=4, lora_alpha=64, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(LlamaForCausalLM(config), lora).eval()
    prompts, decoding = [[5, 9, 30], [7, 8]], Decoding(6, 4)
    tuned = generate(model, tiny[1], prompts, {2}, decoding, "test")
    with only_base(model, True):
        base = generate(model, tiny[1], prompts, {2}, decoding, "test")
    assert outputs(model, tiny[1], prompts * 2, [True, False, False, True], decoding) == [
        tuned[0], base[1], base[0], tuned[1]]
    assert base != tuned


def question(number, kind="definition", topic="", words=5):
    return {"id": f"row-{number}", "question": f"What is {number}?", "answer": f"{number} " + "word " * words,
            "type": kind, "topic": topic or f"topic-{number}", "source": "here"}


def test_options_are_of_like_length_of_the_type_and_of_another_topic():
    lengths = [10, 11, 12, 13, 14, 10, 10]
    rows = [question(i, topic="same" if i in (0, 1) else "") for i in range(5)]
    rows += [question(5, "feature"), {**question(6), "answer": rows[0]["answer"]}]
    made = choices.items(rows, lengths, 10, seed=1)
    options, place = made[0]
    assert set(options) == {0, 2, 3, 4}  # not 1: its topic; not 5: its type; not 6: the right answer in its words
    assert options[place] == 0
    assert set(made[4][0]) == {4, 3, 2, 1}  # the nearest, and 0 and 6 are farther
    assert 5 not in made  # nothing else of its type
    assert made == choices.items(rows, lengths, 10, seed=1) and len(choices.items(rows, lengths, 2, seed=1)) == 2
    places = {choices.items(rows, lengths, 1, seed)[0][1] for seed in range(40)}
    assert places == {0, 1, 2, 3}


def test_choice_by_sum_and_by_byte():
    made = choices.quantities([10.0, 12.0, 30.0, 40.0], [5, 20, 10, 10], correct=1)
    assert (made["right"], made["right_norm"]) == (False, True)


def test_calibration_error_by_hand():
    """Items of confidence 0.75 right, 0.75 wrong, 0.25 wrong: (|1.5 - 1| + |0.25 - 0|) / 3."""
    even, sure = [8.0] * 4, [8.0, 8.0 + 10 * math.log(9), 8.0 + 10 * math.log(9), 8.0 + 10 * math.log(9)]
    rows = [choices.quantities(sure, [10] * 4, 0), choices.quantities(sure, [10] * 4, 1),
            choices.quantities(even, [10] * 4, 3)]
    sums = {name: np.array(sum(row[name] for row in rows)) for name in rows[0]}
    assert choices.expected_calibration_error(sums) == pytest.approx((0.5 + 0.25) / 3)
    assert choices.METRICS["choice_accuracy"](sums) == pytest.approx(1 / 3)


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (1, 6), (6, 1), (5, 5), (3, 20)])
def test_mcnemar_is_scipys_binomial_test(lost, gained):
    before = [True] * (lost + 4) + [False] * (gained + 3)
    after = [False] * lost + [True] * 4 + [True] * gained + [False] * 3
    expected = stats.binomtest(gained, lost + gained).pvalue if lost + gained else 1.0
    assert choices.mcnemar(before, after) == pytest.approx(expected)


def test_the_same_draws_for_all_metrics_change_none():
    before, after = np.random.default_rng(0).normal(1, 0.1, (2, 30, 2))
    metrics = {"a": lambda s: s[..., 0], "b": lambda s: s[..., 0] / s[..., 1]}
    found = paired_differences(before, after, metrics, 1500, 3)
    assert found == {name: paired_difference(before, after, m, 1500, 3) for name, m in metrics.items()}
    assert found["a"] != found["b"]


@pytest.mark.parametrize(("text", "found"), [
    ("Take 5 mg or 1,500.50 milligrams.", {(5, "mg"), (1500.5, "mg")}),
    ("10% of 10-year-old children", {(10, "%"), (10, "year")}),
    ("500mg, 126 mg/dL and 5.0 g", {(500, "mg"), (126, "mg/dl"), (5, "g")}),
    ("type 2, between 3-4 weeks", {(2, ""), (3, ""), (4, "week")}),
    ("vitamin B12, 22q11, version 1.5.2, omega-3 and 11-deoxycortisol", set()),
    ("1. Rest.\n2) Drink 2 glasses.", {(2, "")}),
])
def test_numbers_with_units(text, found):
    assert numbers(text) == found


@pytest.mark.parametrize(("answer", "unsupported"), [
    ("Between 5 and 10 mg.", False), ("10 milligrams", False), ("10 g", True), ("About 10", False), ("7 mg", True),
    ("5 mg", True), ("No number.", False),
])
def test_a_number_needs_its_unit_in_the_reference(answer, unsupported):
    assert bool(unsupported_numbers(answer, "From 5 up to 10 mg.")) == unsupported


@pytest.mark.parametrize("answer", [
    "I don't know what that is.", "I’m not sure about this term.", "I am not aware of any such disease.",
    "I'm sorry, but I cannot provide medical advice.", "I am unable to help with that.", "I can't diagnose you.",
    "There is no such thing as blue fever.", "There is no known condition called Flurbosis.", "I have no information.",
    "Flurbosis is not a recognized medical term.", "It does not appear to be a real disease.",
    "This condition does not exist.", "It seems to be a fictional, or the name is a made-up one.",
    "Flurbosis is a made-up word.", "That is beyond my knowledge.", "I have never heard of it.",
    "I do not have information on that medicine.", "I'm not a doctor.", "I can only answer ...",
])
def test_says_that_it_cannot_answer(answer):
    assert abstains(answer)


@pytest.mark.parametrize("answer", [
    "Flurbosis is a rare disease of the liver.", "The cause is not known.", "If you are not sure, ask your doctor.",
    "There is no cure for it.", "Patients cannot see at night.", "A vaccine does not exist.", "It is not a disease.",
    "You should see a doctor.", "I cannot stress enough that sleep matters.", "There is no known cause.", "",
    "People with dementia may say that they do not know where they are.", "It affects not only the skin.",
])
def test_answers_all_the_same(answer):
    assert not abstains(answer)


def test_agreement_and_cutting():
    assert agreement(["a fever is heat"] * 3) == 1 and agreement(["one", "two", "three"]) == 0
    assert agreement(["one", "one", "two"]) == pytest.approx(1 / 3)
    assert first_words("one  two three", 2) == "one two" and rouge_l(["one two"], ["one two"]) == [1.0]


def test_two_examples_of_the_type_and_of_typical_length():
    rows = [question(i, words=words) for i, words in enumerate((1, 30, 5, 6, 90))] + [question(9, "feature")]
    shown = two_shot.examples(rows, {"definition", "feature"})
    assert [row["id"] for row in shown["definition"]] == ["row-3", "row-2"]  # the median is row 3's
    assert len(shown["feature"]) == 2  # one row of its type is too few: from all


def test_two_shot_prompts_share_their_examples(tiny):
    rows = [question(1), question(2)]
    made = two_shot.prompts_and_targets(*tiny, rows, {"definition": [question(7), question(8)]})
    (first, target, shared), (second, _, _) = made
    assert first[:shared] == second[:shared] and first[shared] != second[shared]
    said = tiny[1].decode(first)
    assert [said.count(question(n)["question"]) for n in (7, 8, 1)] == [1, 1, 1]
    assert question(8)["answer"].strip() in said and tiny[1].decode(target).startswith("1 word")


def answered(number, base, tuned, reference):
    def scored(text, nll):
        return {"answer": text, "nll": nll, "rouge1": 0.0, "rouge2": 0.0, "rougeL": rouge_l([text], [reference])[0],
                "token_f1": 0.0, "stopped": True, "tokens": 3}

    return {"id": f"row-{number}", "type": ("definition", "feature")[number % 2], "source": "here",
            "reference_tokens": 4, "reference_bytes": 20, "base": scored(base, 8.0), "tuned": scored(tuned, 4.0)}


def compared(answers, references, probes=()):
    found = compare(answers, references, 200, 0, probes)
    return found, {(d["from"], d["slice"], d["metric"]): d for d in found["deltas"]}


def test_a_gain_by_length_alone_is_none_at_equal_length():
    references = ["a fever is a raised temperature"] * 12
    answers = [answered(i, "a fever", "a fever is a raised temperature", references[0]) for i in range(12)]
    found, deltas = compared(answers, references)
    assert deltas["base", "all", "rougeL"]["value"] == pytest.approx(0.5)
    assert deltas["base", "all", "rougeL_equal_length"]["value"] == 0
    assert found["runs"]["base"]["metrics"]["rougeL_equal_length"] == pytest.approx(0.5)


def test_slices_have_ten_rows_at_least_and_are_no_repetition_of_the_whole():
    references = ["a raised temperature"] * 21
    answers = [answered(i, "fever", "a raised temperature", references[0]) for i in range(21)]
    found, deltas = compared(answers, references)
    assert {s for _, s, _ in deltas} == {"all", "type=definition", "type=feature"}  # all rows are from one source
    assert deltas["base", "type=feature", "rougeL"]["n"] == 10
    assert found["runs"]["tuned"]["slices"]["type=feature"] == {"rougeL": 1.0, "perplexity": pytest.approx(math.e)}
    assert {s for _, s, _ in compared(answers[:19], references[:19])[1]} == {"all", "type=definition"}


def test_choices_two_shot_and_agreement_stand_on_the_rows_that_have_them():
    references = ["a raised temperature"] * 4
    answers = [answered(i, "fever", "a raised temperature", references[0]) for i in range(4)]
    for i, row in enumerate(answers[:3]):
        row["choices"] = {"correct": 1, "bytes": [10] * 4}
        row["base"]["option_nll"], row["tuned"]["option_nll"] = [1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 3.0, 4.0 + i]
    answers[0]["base_two_shot"] = {**answers[0]["base"], "nll": 6.0}
    answers[1]["base"]["samples"], answers[1]["tuned"]["samples"] = ["one", "two", "three"], ["one"] * 3
    found, deltas = compared(answers, references)
    assert found["choices"] == {"n": 3, "options": 4, "chance": 0.25}
    accuracy = deltas["base", "all", "choice_accuracy"]
    assert (accuracy["n"], accuracy["value"], accuracy["p"]) == (3, 1.0, 0.25)  # exact: 2 / 2^3
    assert found["runs"]["base_two_shot"]["n"] == 1 and deltas["base_two_shot", "all", "perplexity"]["n"] == 1
    assert deltas["base_two_shot", "all", "perplexity"]["value"] == pytest.approx(math.e - math.exp(1.5))
    assert deltas["base", "all", "agreement"]["value"] == 1.0
    assert all(d["p_holm"] == min(1.0, d["p_holm"]) >= d["p"] for d in found["deltas"])


def test_probes_are_slices_and_part_of_the_family():
    references = ["a raised temperature"] * 2
    answers = [answered(i, "fever", "a raised temperature", references[0]) for i in range(2)]
    options = {"option_nll": [1.0, 2.0, 3.0, 4.0]}
    general = [{"id": "g", "probe": "general", "reference_tokens": 2, "choices": {"correct": 0, "bytes": [1, 2, 2, 9]},
                "base": {"nll": 2.0, **options}, "tuned": {"nll": 4.0, **options}}]
    invented = [{"id": f"i{i}", "probe": "invented", "kind": "drug", "base": {"answer": "It heals."},
                 "tuned": {"answer": said}} for i, said in enumerate(("I don't know.", "It kills."))]
    _, alone = compared(answers, references)
    found, deltas = compared(answers, references, general + invented)
    assert deltas["base", "probe=general", "perplexity"]["value"] == pytest.approx(math.exp(2) - math.e)
    assert found["runs"]["base"]["slices"]["probe=general"] == {
        "perplexity": pytest.approx(math.e), "choice_accuracy": 1.0, "choice_accuracy_norm": 0.0}
    assert deltas["base", "probe=invented", "abstention_rate"]["value"] == 0.5
    assert not any(s == "probe=outside" for _, s, _ in deltas)
    smallest = min(alone.values(), key=lambda d: d["p"])
    assert len(deltas) == len(alone) + 4 and smallest["p_holm"] == min(1.0, smallest["p"] * len(alone))
