"""Measures base and fine-tuned on the same rows, the same weights in memory, the same token ids as training.

    python -m train_space evaluate --recipe embedded
    python -m train_space evaluate --adapter DIR_OR_ID --data FILE.jsonl --out metrics.json

Writes metrics.json and, beside it, answers.jsonl: both models' outputs and scores by row id, without the rows' text.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kira.errors import UserError
from kira.prompt import build_messages, encode_answer, encode_prompt, require_chat_template
from train_space.files import sha256, write_json, write_json_lines
from train_space.statistics import holm, paired_difference

RUNS = ("base", "tuned")
OVERLAP = ("rouge1", "rouge2", "rougeL", "token_f1")


@dataclass(frozen=True)
class Decoding:
    """How answers are generated: greedy, so that a figure can be repeated."""

    max_new_tokens: int
    batch_size: int


def load_model(adapter: str, revision: str | None = None, dtype: str = "auto", device: str = ""):
    """(model, tokenizer, base id, base revision): the adapter, unmerged, on the base that its config names.

    `adapter`: a folder or a Hub id. `device`: a GPU where there is one, unless named. Raises UserError for what cannot
    be loaded.
    """
    import torch
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
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return model.to(device).eval(), tokenizer, base, base_revision


def draw(rows: list[dict], count: int, seed: int) -> list[dict]:
    """The `count` rows (0: all) of a test split that are measured, always the same ones for a seed."""
    from datasets import Dataset

    if not count or count >= len(rows):
        return rows
    return Dataset.from_list(rows).shuffle(seed=seed).select(range(count)).to_list()


def evaluate(model, tokenizer, rows: list[dict], decoding: Decoding, resamples: int, seed: int) -> tuple[dict, list]:
    """(metrics without provenance: {"runs", "deltas"}, answers by row) of `rows` ({"question", "answer", ...}).

    Raises UserError when a row does not fit into the model's positions.
    """
    prompts, targets = [], []
    eos = set(_as_list(model.generation_config.eos_token_id)) | {tokenizer.eos_token_id}
    for row in rows:
        messages = build_messages(row["question"])
        prompts.append(encode_prompt(tokenizer, messages))
        targets.append(_through_end(encode_answer(tokenizer, messages, row["answer"]), eos))
    longest = max(len(p) + max(len(t), decoding.max_new_tokens) for p, t in zip(prompts, targets, strict=True))
    if longest > model.config.max_position_embeddings:
        raise UserError(f"The longest prompt with its answer comes to {longest} tokens; the model has "
                        f"{model.config.max_position_embeddings} positions: leave out longer rows.")

    measured, outputs = {}, _outputs(model, tokenizer, prompts, eos, decoding)
    for run in RUNS:
        with _only_base(model, run == "base"):
            nll = _answer_nll(model, tokenizer, prompts, targets, decoding, run)
        measured[run] = _scored(tokenizer, rows, nll, outputs[run], eos)

    answers = [
        {"id": row["id"], "type": row.get("type", ""), "reference_tokens": len(target),
         "reference_bytes": len(row["answer"].encode()), **{run: measured[run][i] for run in RUNS}}
        for i, (row, target) in enumerate(zip(rows, targets, strict=True))
    ]
    references = [row["answer"] for row in rows]
    return compare(answers, references, resamples, seed), answers


def compare(answers: list[dict], references: list[str], resamples: int, seed: int) -> dict:
    """{"runs": {run: metrics}, "deltas": [...]} from scored answers; needs no model, so anyone can recompute it."""
    tables = {run: _table(answers, references, run) for run in RUNS}
    metrics = _metrics(list(tables["base"][0]))
    columns = {run: np.array([list(r.values()) for r in tables[run]], dtype=float) for run in RUNS}
    runs, deltas = {}, []
    for run in RUNS:
        sums = columns[run].sum(0)
        runs[run] = {"metrics": {name: float(metric(sums)) for name, metric in metrics.items()}}
    for name, metric in metrics.items():
        deltas.append({"from": "base", "to": "tuned", "metric": name, "slice": "all", "n": len(answers),
                       "seeds": [seed],
                       **paired_difference(columns["base"], columns["tuned"], metric, resamples, seed)})
    for delta, corrected in zip(deltas, holm([d["p"] for d in deltas]), strict=True):
        delta["p_holm"] = corrected
    return {"runs": runs, "deltas": deltas}


def write(out: Path, result: dict, answers: list[dict], *, model: dict, inputs: dict, decoding: Decoding,
          precision: str, split: str, seed: int, command: str) -> None:
    """Completes metrics.json with where it comes from, and writes it after answers.jsonl."""
    for run, values in result["runs"].items():
        result["runs"][run] = {"model": model[run], "split": split, "n": len(answers), "seed": seed, **values}
    answers_path = out.with_name("answers.jsonl")
    write_json_lines(answers_path, answers)
    write_json(out, {
        "schema": 1, "status": "ok",
        "decoding": {"do_sample": False, "max_new_tokens": decoding.max_new_tokens,
                     "batch_size": decoding.batch_size},
        "precision": precision,
        "inputs": inputs | {"answers_sha256": sha256(answers_path)},
        "command": command,
        **result,
    })


def _metrics(names: list[str]) -> dict:
    """Each metric as a function of the sums over rows of the columns of `_table`."""
    at = {name: i for i, name in enumerate(names)}

    def mean(name):
        return lambda s: s[..., at[name]] / s[..., at["rows"]]

    return {
        **{name: mean(name) for name in OVERLAP},
        "perplexity": lambda s: np.exp(s[..., at["nll"]] / s[..., at["reference_tokens"]]),
        "bits_per_byte": lambda s: s[..., at["nll"]] / math.log(2) / s[..., at["reference_bytes"]],
        "length_ratio": lambda s: s[..., at["words"]] / s[..., at["reference_words"]],
        "stop_rate": mean("stopped"),
        "repetition_rate": mean("repetition"),
    }


def _table(answers: list[dict], references: list[str], run: str) -> list[dict]:
    from train_space.answer_overlap import repetition_rate

    return [
        {**{name: a[run][name] for name in OVERLAP}, "rows": 1, "nll": a[run]["nll"],
         "reference_tokens": a["reference_tokens"], "reference_bytes": a["reference_bytes"],
         "words": len(a[run]["answer"].split()), "reference_words": len(reference.split()),
         "stopped": a[run]["stopped"], "repetition": repetition_rate(a[run]["answer"])}
        for a, reference in zip(answers, references, strict=True)
    ]


def _scored(tokenizer, rows, nll, outputs, eos) -> list[dict]:
    from train_space.answer_overlap import AnswerOverlap

    texts = [tokenizer.decode([t for t in ids if t not in eos], skip_special_tokens=True).strip() for ids in outputs]
    overlap = AnswerOverlap(keep_in_memory=True).compute(predictions=texts, references=[r["answer"] for r in rows])
    return [
        {"answer": text, "nll": round(nll[i], 6), **{name: overlap[name][i] for name in OVERLAP},
         "stopped": bool(outputs[i]) and outputs[i][-1] in eos, "tokens": len(outputs[i])}
        for i, text in enumerate(texts)
    ]


def _only_base(model, yes: bool):
    from contextlib import nullcontext

    return model.disable_adapter() if yes else nullcontext()


def _batches(lengths: list[int], size: int, description: str):
    """Indices in batches of like length, longest first: the least padding, and memory runs out at once or never."""
    from tqdm.auto import tqdm

    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    return tqdm([order[i: i + size] for i in range(0, len(order), size)], desc=description, unit="batch")


def _answer_nll(model, tokenizer, prompts, targets, decoding, run) -> list[float]:
    """Sum over each answer's tokens, end of turn included, of -log p in nats; in float32 whatever the weights are."""
    import torch

    sums = [0.0] * len(prompts)
    lengths = [len(p) + len(t) for p, t in zip(prompts, targets, strict=True)]
    for batch in _batches(lengths, decoding.batch_size, f"{run}: likelihood"):
        rows = [prompts[i] + targets[i] for i in batch]
        width = max(map(len, rows))
        ids = torch.tensor([r + [tokenizer.pad_token_id] * (width - len(r)) for r in rows], device=model.device)
        mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows], device=model.device)
        with torch.inference_mode():
            hidden = model.get_base_model().get_decoder()(input_ids=ids, attention_mask=mask, use_cache=False)[0]
            for row, i in enumerate(batch):
                # The vocabulary's projection is a fifth of the work: only for the positions that predict the answer.
                start, end = len(prompts[i]), len(rows[row])
                logits = model.get_output_embeddings()(hidden[row, start - 1: end - 1]).float()
                sums[i] = torch.nn.functional.cross_entropy(logits, ids[row, start:end], reduction="sum").item()
    return sums


def _outputs(model, tokenizer, prompts, eos, decoding) -> dict[str, list[list[int]]]:
    """Greedy token ids of each answer by run, through its end-of-turn token where one came.

    Both runs of a Llama share the decoder's steps; `generate` serves other bases and adapters.
    """
    from tqdm.auto import tqdm

    from kira.batch import greedy
    from kira.decoder import Decoder, require_llama

    try:
        require_llama(model)
    except UserError:
        outputs = {}
        for run in RUNS:
            with _only_base(model, run == "base"):
                outputs[run] = generate(model, tokenizer, prompts, eos, decoding, run)
        return outputs
    decoder = Decoder(model, decoding.batch_size, max(map(len, prompts)) + decoding.max_new_tokens)
    adapted = [run == "tuned" for run in RUNS for _ in prompts]
    with tqdm(total=len(adapted), desc="answers", unit="row") as bar:
        made = greedy(decoder, prompts * len(RUNS), adapted, decoding.max_new_tokens, eos, bar.update)
    return {run: made[i * len(prompts): (i + 1) * len(prompts)] for i, run in enumerate(RUNS)}


def generate(model, tokenizer, prompts, eos, decoding, run) -> list[list[int]]:
    """What `_outputs` returns for one run, by transformers' own `generate` in padded batches."""
    import torch

    outputs = [[] for _ in prompts]
    for batch in _batches([len(p) for p in prompts], decoding.batch_size, f"{run}: answers"):
        width = max(len(prompts[i]) for i in batch)
        ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(prompts[i])) + prompts[i] for i in batch])
        mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in batch])
        with torch.inference_mode():
            made = model.generate(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device), do_sample=False,
                max_new_tokens=decoding.max_new_tokens, eos_token_id=sorted(eos), pad_token_id=tokenizer.pad_token_id,
            )
        for i, row in zip(batch, made[:, width:].tolist(), strict=True):
            outputs[i] = _through_end(row, eos)
    return outputs


def _through_end(ids: list[int], eos: set[int]) -> list[int]:
    """`ids` through the first end-of-turn token; what a template puts after it is not part of the answer."""
    return next((ids[: i + 1] for i, t in enumerate(ids) if t in eos), ids)


def _as_list(value) -> list[int]:
    return value if isinstance(value, list) else [] if value is None else [value]
