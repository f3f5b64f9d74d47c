"""Probes beside the test split: what was kept outside medicine, and does the model say when it cannot answer?

`probes/` holds general.jsonl ({"id", "area", "question", "answer", "choices": 4 texts, "correct": place of the right
one}), invented.jsonl ({"id", "kind", "name", "question"}: things that do not exist) and outside.jsonl ({"id", "kind",
"question"}: what Kira should decline). A file that is not there is not measured; count 0 measures none.
"""

from pathlib import Path

from kira.prompt import build_messages, encode_prompt
from train_space import choices
from train_space.compare import RUNS
from train_space.files import read_json_lines
from train_space.generation import end_tokens, only_base, outputs, prompt_and_target, text
from train_space.likelihood import Passage, nll

FOLDER = Path(__file__).resolve().parent / "probes"
NAMES = ("general", "invented", "outside")


def files() -> list[Path]:
    """The probe files that are there."""
    return [path for name in NAMES if (path := FOLDER / f"{name}.jsonl").is_file()]


def load(count: int) -> dict[str, list[dict]]:
    """{probe: `count` of its rows, or all}, evenly spread over the file, which goes by area and kind."""
    found = {path.stem: read_json_lines(path) for path in files()}
    return {name: [rows[i * len(rows) // count] for i in range(count)] if count < len(rows) else rows
            for name, rows in found.items()}


def scored_answers(model, tokenizer, probes: dict[str, list[dict]], decoding) -> list[dict]:
    """One dictionary a probe row: "id", "probe", and under each run what the model made of it.

    general: "nll" of the answer and "option_nll" of the choices, in nats; the others: "answer", greedy.
    """
    return [*_general(model, tokenizer, probes.get("general", []), decoding),
            *_asked(model, tokenizer, {n: rows for n, rows in probes.items() if n != "general"}, decoding)]


def _general(model, tokenizer, rows, decoding) -> list[dict]:
    passages, answers = [], []
    for row in rows:
        texts = [row["answer"], *row["choices"]]
        pairs = [prompt_and_target(model, tokenizer, row["question"], said) for said in texts]
        passages += [Passage(prompt, target, len(prompt)) for prompt, target in pairs]
        answers.append({
            "id": row["id"], "probe": "general", "area": row["area"],
            "reference_tokens": len(pairs[0][1]), "reference_bytes": len(row["answer"].encode()),
            "choices": {"correct": row["correct"], "bytes": [len(said.encode()) for said in row["choices"]]},
        })
    size = 1 + choices.OPTIONS
    for run in RUNS:
        with only_base(model, run == "base"):
            scores = nll(model, tokenizer.pad_token_id, passages, decoding.batch_size, f"{run}: general probe")
        for i, answer in enumerate(answers):
            first, *options = (round(score, 6) for score in scores[i * size: (i + 1) * size])
            answer[run] = {"nll": first, "option_nll": options}
    return answers


def _asked(model, tokenizer, probes, decoding) -> list[dict]:
    rows = [(name, row) for name, found in probes.items() for row in found]
    if not rows:
        return []
    prompts = [encode_prompt(tokenizer, build_messages(row["question"])) for _, row in rows]
    adapted = [run == "tuned" for run in RUNS for _ in rows]
    made, ends = outputs(model, tokenizer, prompts * len(RUNS), adapted, decoding), end_tokens(model, tokenizer)
    answers = [{"id": row["id"], "probe": name, "kind": row["kind"]} for name, row in rows]
    for i, ids in enumerate(made):
        answers[i % len(rows)][RUNS[i // len(rows)]] = {"answer": text(tokenizer, ids, ends)}
    return answers
