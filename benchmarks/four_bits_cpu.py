"""Are answers from 4-bit weights as good as those in float32? The test split of a finished run, both ways.

    python -m localhub exec --root .kira/hub -- python -m benchmarks.four_bits_cpu .kira/runs/embedded

The float32 answers are the run's own (evaluation/answers.jsonl); the 4-bit ones are made as the Space makes them.
"""

import argparse
from pathlib import Path

import numpy as np
from datasets import Dataset

from benchmarks.row import write
from kira.batch import greedy
from kira.decoder import Decoder
from kira.prompt import build_messages, encode_prompt
from train_space.answer_overlap import AnswerOverlap
from train_space.evaluate import load_model
from train_space.files import read_json, read_json_lines
from train_space.statistics import paired_difference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    texts = {r["id"]: r for r in Dataset.from_parquet(str(run / "data/data/test-00000-of-00001.parquet")).to_list()}
    plain = read_json_lines(run / "evaluation" / "answers.jsonl")
    rows = [texts[a["id"]] for a in plain]
    new = read_json(run / "evaluation" / "metrics.json")["decoding"]["max_new_tokens"]
    model, tokenizer, _, _ = load_model(str(run / "train" / "adapter"))
    prompts = [encode_prompt(tokenizer, build_messages(r["question"])) for r in rows]
    decoder = Decoder(model, 16, max(map(len, prompts)) + new, pack=True)
    ends = {tokenizer.eos_token_id}
    made = greedy(decoder, prompts, [True] * len(rows), new, ends)
    said = [tokenizer.decode([t for t in ids if t not in ends], skip_special_tokens=True).strip() for ids in made]
    scores = AnswerOverlap(keep_in_memory=True).compute(predictions=said, references=[r["answer"] for r in rows])
    pairs = [np.array([[score, 1.0] for score in column]) for column in
             ([a["tuned"]["rougeL"] for a in plain], scores["rougeL"])]
    gap = paired_difference(*pairs, lambda sums: sums[..., 0] / sums[..., 1], 10_000, 42)
    same = sum(a["tuned"]["answer"] == text for a, text in zip(plain, said, strict=True))
    write("four_bits_cpu", "ROUGE-L of 4-bit answers", round(float(pairs[1][:, 0].mean()), 4), "",
          peer="float32", peer_value=round(float(pairs[0][:, 0].mean()), 4), target="no significant difference",
          command="python -m benchmarks.four_bits_cpu", note=(
              f"difference {gap['value']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}], n {len(rows)}; "
              f"{same} answers the same to the letter"))


if __name__ == "__main__":
    main()
