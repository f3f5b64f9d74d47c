"""Measures base and fine-tuned on the same rows, the same weights in memory, the same token ids as training.

    python -m train_space evaluate --recipe embedded
    python -m train_space evaluate --adapter DIR_OR_ID --data FILE.jsonl --out metrics.json

Writes metrics.json and, beside it, answers.jsonl and probe_answers.jsonl: both models' outputs and scores by row id,
without the rows' text; `compare` makes the metrics of them again.
"""

from dataclasses import dataclass
from os.path import commonprefix
from pathlib import Path

from kira.errors import UserError
from kira.prompt import require_chat_template
from train_space import choices, processes, two_shot
from train_space.compare import OVERLAP, RUNS, compare  # noqa: F401  evaluate.compare is what others call
from train_space.files import sha256, write_json, write_json_lines
from train_space.generation import Decoding, end_tokens, only_base, outputs, prompt_and_target, text
from train_space.likelihood import Passage, nll

SAMPLES, TEMPERATURE = 3, 0.7


@dataclass(frozen=True)
class Extent:
    """How many rows the costly measures take: the first so many of the rows evaluated; 0 leaves the measure out."""

    choice_rows: int = 0
    two_shot_rows: int = 0
    agreement_rows: int = 0


def load_model(adapter: str, revision: str | None = None, dtype: str = "auto", device: str = ""):
    """(model, tokenizer, base id, base revision): the adapter, unmerged, on the base that its config names.

    `adapter`: a folder or a Hub id. `device`: a GPU where there is one (each process its own), unless named. Raises
    UserError for what cannot be loaded.
    """
    from peft import PeftConfig, PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from train_space.hub import hub_errors, resolve
    from train_space.train import compute_dtype

    if Path(adapter).exists():
        if not (Path(adapter) / "adapter_config.json").is_file():
            raise UserError(f"{adapter} holds no adapter_config.json; name a folder that `train` wrote, or a Hub id.")
        revision = None
    else:
        revision = resolve(adapter, revision or "")
    with hub_errors(f"load the adapter {adapter}"):
        config = PeftConfig.from_pretrained(adapter, revision=revision)
        base = config.base_model_name_or_path
        base_revision = config.revision or resolve(base)
    with hub_errors(f"load the base {base}"):
        tokenizer = AutoTokenizer.from_pretrained(base, revision=base_revision)
        require_chat_template(tokenizer)
        model = AutoModelForCausalLM.from_pretrained(
            base, revision=base_revision, dtype=compute_dtype(dtype), use_safetensors=True
        )
        model = PeftModel.from_pretrained(model, adapter, revision=revision, autocast_adapter_dtype=False)
    return model.to(device or processes.device()).eval(), tokenizer, base, base_revision


def draw(rows: list[dict], count: int, seed: int) -> list[dict]:
    """The `count` rows (0: all) of a test split that are measured, always the same ones for a seed."""
    from datasets import Dataset

    if not count or count >= len(rows):
        return rows
    return Dataset.from_list(rows).shuffle(seed=seed).select(range(count)).to_list()


def scored_answers(model, tokenizer, rows: list[dict], decoding: Decoding, seed: int, extent: Extent = Extent(),
                   train_rows: list[dict] = ()) -> list[dict]:
    """What each model makes of `rows` ({"id", "question", "answer", ...}): one dictionary a row, for `compare`.

    `train_rows`: where the two examples of the run base_two_shot come from; without them it is left out, as it is for
    a row that does not fit into the model's positions with them. Raises UserError when a row alone does not fit.
    """
    pairs = [prompt_and_target(model, tokenizer, row["question"], row["answer"]) for row in rows]
    room = model.config.max_position_embeddings
    longest = max(_longest(*pair, decoding) for pair in pairs)
    if longest > room:
        raise UserError(f"The longest prompt with its answer comes to {longest} tokens; the model has {room} "
                        "positions: leave out longer rows.")
    answers = [
        {"id": row["id"], "type": row.get("type", ""), "source": row.get("source", ""),
         "reference_tokens": len(target), "reference_bytes": len(row["answer"].encode()), **{run: {} for run in RUNS}}
        for row, (_, target) in zip(rows, pairs, strict=True)
    ]
    items = choices.items(rows, [len(target) for _, target in pairs], extent.choice_rows, seed)
    shown = {}
    if extent.two_shot_rows and train_rows:
        first = rows[:extent.two_shot_rows]
        examples = two_shot.examples(train_rows, {row.get("type", "") for row in first})
        found = two_shot.prompts_and_targets(model, tokenizer, first, examples)
        shown = {i: made for i, made in enumerate(found) if _longest(*made[:2], decoding) <= room}
        for i in shown:
            answers[i]["base_two_shot"] = {"examples": [row["id"] for row in examples[answers[i]["type"]]]}

    _add_outputs(model, tokenizer, rows, answers, [prompt for prompt, _ in pairs], shown, decoding)
    _add_likelihoods(model, tokenizer, rows, answers, pairs, items, shown, decoding)
    _add_samples(model, tokenizer, answers, [prompt for prompt, _ in pairs][:extent.agreement_rows], decoding, seed)
    return answers


def write(out: Path, result: dict, answers: list[dict], probe_answers: list[dict], *, model: dict, inputs: dict,
          decoding: Decoding, precision: str, split: str, seed: int, command: str) -> list[Path]:
    """Completes metrics.json with where it comes from, and writes it after the answers; returns the paths written."""
    for run, values in result["runs"].items():
        result["runs"][run] = {"model": model[run], "split": split, "seed": seed, **values}
    answers_path, probes_path = out.with_name("answers.jsonl"), out.with_name("probe_answers.jsonl")
    write_json_lines(answers_path, answers)
    digests = {"answers_sha256": sha256(answers_path)}
    probes_path.unlink(missing_ok=True)  # of an earlier evaluation
    if probe_answers:
        write_json_lines(probes_path, probe_answers)
        digests["probe_answers_sha256"] = sha256(probes_path)
    write_json(out, {
        "schema": 1, "status": "ok",
        "decoding": {"do_sample": False, "max_new_tokens": decoding.max_new_tokens,
                     "batch_size": decoding.batch_size},
        "precision": precision,
        "inputs": inputs | digests,
        "command": command,
        **result,
    })
    return [out, answers_path, *([probes_path] if probe_answers else [])]


def _longest(prompt, target, decoding) -> int:
    return len(prompt) + max(len(target), decoding.max_new_tokens)


def _add_outputs(model, tokenizer, rows, answers, prompts, shown, decoding) -> None:
    """Each run's greedy answer with its overlap with the reference."""
    made = outputs(model, tokenizer, prompts * len(RUNS), [run == "tuned" for run in RUNS for _ in prompts], decoding)
    for number, run in enumerate(RUNS):
        _add_overlap(model, tokenizer, rows, answers, run, dict(enumerate(made[number * len(rows):][:len(rows)])))
    if shown:
        made = outputs(model, tokenizer, [prompt for prompt, _, _ in shown.values()], [False] * len(shown), decoding)
        _add_overlap(model, tokenizer, rows, answers, "base_two_shot", dict(zip(shown, made, strict=True)))


def _add_overlap(model, tokenizer, rows, answers, run, made: dict[int, list[int]]) -> None:
    from train_space.answer_overlap import AnswerOverlap

    ends = end_tokens(model, tokenizer)
    texts = {i: text(tokenizer, ids, ends) for i, ids in made.items()}
    overlap = AnswerOverlap(keep_in_memory=True).compute(
        predictions=list(texts.values()), references=[rows[i]["answer"] for i in texts])
    for place, (i, ids) in enumerate(made.items()):
        answers[i][run] |= {"answer": texts[i], **{name: overlap[name][place] for name in OVERLAP},
                            "stopped": bool(ids) and ids[-1] in ends, "tokens": len(ids)}


def _add_likelihoods(model, tokenizer, rows, answers, pairs, items, shown, decoding) -> None:
    """Each run's surprise at the reference, and at the options where there is an item.

    The options share their question's prompt, the other rows what all prompts begin with: the system prompt.
    """
    wanted = [(i, i) for i in range(len(rows))]  # (row asked, row whose answer is scored)
    wanted += [(i, j) for i, (options, _) in items.items() for j in options if j != i]
    targets = {
        (i, j): pairs[i][1] if i == j else
        prompt_and_target(model, tokenizer, rows[i]["question"], rows[j]["answer"])[1] for i, j in wanted
    }
    common = len(commonprefix([prompt for prompt, _ in pairs]))
    passages = [Passage(pairs[i][0], targets[i, j], len(pairs[i][0]) if i in items else common) for i, j in wanted]
    for run in RUNS:
        with only_base(model, run == "base"):
            scores = nll(model, tokenizer.pad_token_id, passages, decoding.batch_size, f"{run}: likelihood")
        of = {key: round(score, 6) for key, score in zip(wanted, scores, strict=True)}
        for i, answer in enumerate(answers):
            answer[run]["nll"] = of[i, i]
        for i, (options, place) in items.items():
            answers[i]["choices"] = {"ids": [rows[j]["id"] for j in options], "correct": place,
                                     "bytes": [answers[j]["reference_bytes"] for j in options]}
            answers[i][run]["option_nll"] = [of[i, j] for j in options]
    with only_base(model, True):
        scores = nll(model, tokenizer.pad_token_id, [Passage(*made) for made in shown.values()], decoding.batch_size,
                     "base_two_shot: likelihood")
    for i, score in zip(shown, scores, strict=True):
        answers[i]["base_two_shot"]["nll"] = round(score, 6)


def _add_samples(model, tokenizer, answers, prompts, decoding, seed) -> None:
    """Several drawn answers of each run, for how far it agrees with itself."""
    if not prompts:
        return
    adapted = [run == "tuned" for run in RUNS for _ in range(SAMPLES) for _ in prompts]
    made = outputs(model, tokenizer, prompts * (SAMPLES * len(RUNS)), adapted, decoding, TEMPERATURE, seed)
    ends = end_tokens(model, tokenizer)
    for number, ids in enumerate(made):
        run = RUNS[number // (SAMPLES * len(prompts))]
        answers[number % len(prompts)][run].setdefault("samples", []).append(text(tokenizer, ids, ends))
