"""What the encoder (kira/encoder.py) starts from: all-mpnet-base-v2, and words of other languages by their meaning.

The base knows English alone. A word of another language starts at the mean of the words of its English gloss
(train_space/texts/glosses; in the manner of WECHSEL, Minixhofer et al., arXiv 2112.06598), so that what the network
knows of "unconscious", and learns of it, holds for "behosh" too. Words that our English texts use are in no list. The
glosses are used here only, not when a text is read. An emoji starts at the words of its name.
"""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch

from kira.encoder import CHINESE, tokenizer_of
from kira.mpnet import MOST_TOKENS, Network
from kira.normalise import normalise
from train_space.text_classifier import TEXTS

LATIN = 12_800  # pieces of the base that stay
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass
class Base:
    """all-mpnet-base-v2: its tensors and its word pieces, in order, with BERT's names for the marks."""

    tensors: dict[str, torch.Tensor]
    pieces: list[str]


def read_base(folder: Path) -> Base:
    from safetensors.torch import load_file

    pieces = (folder / "vocab.txt").read_text("utf-8").rstrip("\n").split("\n")
    # BERT's own marks are unused here.
    pieces = [f"({p})" if p[0] == "[" and len(p) > 1 and p != "[UNK]" else p for p in pieces]
    names = {"<s>": "[CLS]", "<pad>": "[PAD]", "</s>": "[SEP]", "<mask>": "[MASK]"}
    return Base(load_file(folder / "model.safetensors"), [names.get(piece, piece) for piece in pieces])


def glosses() -> dict[str, str]:
    """Word, as `normalise` leaves it -> what it means in English, all languages together."""
    meant: dict[str, list[str]] = {}
    for path in sorted((TEXTS / "glosses").glob("*.tsv")):
        for line in path.read_text("utf-8").splitlines():
            word, gloss = line.split("\t")
            meant.setdefault(word, []).append(gloss)
    return {word: " ".join(found) for word, found in meant.items()}


def vocabulary_of(base: Base, meant: dict[str, str], texts: list[str]) -> list[str]:
    """BERT's marks; LATIN of the base's pieces (single letters, those the texts use, the most common of the rest);
    the words that have a gloss; every other sign that the texts use, and letters within a word too where words are of
    several (a Chinese character stands alone)."""
    tokenizer, texts = tokenizer_of(base.pieces), [normalise(text) for text in texts]
    met = Counter(piece for read in tokenizer.encode_batch(texts) for piece in read.tokens)
    letters = [p for p in base.pieces if len(p.removeprefix("##")) == 1 and p.isascii()]
    latin = [p for p in base.pieces if p.removeprefix("##").isascii() and p[0] not in "[(<"]  # commonest first
    ranked = dict.fromkeys([*MARKS, *letters, *(p for p, _ in met.most_common() if p.isascii()), *latin])
    others = sorted({c for text in texts for c in text if not c.isascii() and not c.isspace()})
    within = [f"##{c}" for c in others if not CHINESE.match(c)]
    return list(dict.fromkeys([*list(ranked)[:LATIN], *meant, *others, *within]))


def picture(piece: str) -> str:
    """What Unicode calls an emoji or another pictorial sign ("snake"); "" for all else."""
    return unicodedata.name(piece, "").lower() if len(piece) == 1 and unicodedata.category(piece) == "So" else ""


def words_of(base: Base, meant: dict[str, str], vocabulary: list[str]) -> torch.Tensor:
    """(pieces, width): the base's own rows; of a word with a gloss the mean of the gloss's, of a picture of its name's;
    of what nobody knows the mean of all."""
    rows = base.tensors["embeddings.word_embeddings.weight"].float()
    places = {piece: i for i, piece in enumerate(base.pieces)}
    tokenizer, middle = tokenizer_of(base.pieces), rows.mean(0)

    def row(piece: str) -> torch.Tensor:
        if meaning := meant.get(piece) or picture(piece):
            return rows[tokenizer.encode(meaning, add_special_tokens=False).ids].mean(0)
        return rows[places[piece]] if piece in places else middle

    return torch.stack([row(piece) for piece in vocabulary])


def start(base: Base, meant: dict[str, str], vocabulary: list[str], layers: int, classes: int) -> Network:
    """The network with the base's first layers and `words_of` the vocabulary; the head is new."""
    torch.manual_seed(0)
    network, first = Network(layers, len(vocabulary), classes), "embeddings."
    state = network.state_dict() | {
        "words.weight": words_of(base, meant, vocabulary),
        # The first two are of padding.
        "places.weight": base.tensors[f"{first}position_embeddings.weight"][2: 2 + MOST_TOKENS],
        "distance.weight": base.tensors["encoder.relative_attention_bias.weight"]}
    state |= {f"norm.{part}": base.tensors[f"{first}LayerNorm.{part}"] for part in ("weight", "bias")}
    names = {"out": "attention.attn.o", "norm1": "attention.LayerNorm", "widen": "intermediate.dense",
             "narrow": "output.dense", "norm2": "output.LayerNorm"}
    for i in range(layers):
        ours, theirs = f"layers.{i}.", f"encoder.layer.{i}."
        for part in ("weight", "bias"):
            state |= {f"{ours}{a}.{part}": base.tensors[f"{theirs}{b}.{part}"] for a, b in names.items()}
            state[f"{ours}query_key_value.{part}"] = torch.cat(
                [base.tensors[f"{theirs}attention.attn.{name}.{part}"] for name in "qkv"])
    network.load_state_dict({key: value.float() for key, value in state.items()})
    return network
