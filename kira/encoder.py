"""A small transformer that reads a few windows of text and says how alarming each is.

Its weights are data (train_space/text_encoder.py makes them from all-MiniLM-L6-v2): the first layers, the part of the
vocabulary that texts of people use, 8 bits a weight. It reads Latin letters alone; other writings are left to the rules
and to the linear classifier.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from kira.classifier import FOLDER
from kira.normalise import normalise

MOST_TOKENS = 96


@dataclass(frozen=True)
class Encoder:
    """`model`: text windows -> (windows, classes) log-odds against the first class, "nothing"."""

    classes: tuple[str, ...]
    model: object
    tokenizer: object

    def scores(self, windows: list[str]) -> np.ndarray:
        """Log-odds (windows, classes) of each class against the first, whose own is 0; float32, the same every time."""
        import torch

        found = [e.ids for e in self.tokenizer.encode_batch([normalise(w) for w in windows])]
        ids, mask = padded(found)
        with torch.inference_mode():
            logits = self.model(ids, mask)
        return (logits - logits[:, :1]).numpy()


def is_latin(text: str) -> bool:
    """Most of its letters are Latin ones, once disguises are off; a text without letters is not."""
    letters = [c for c in normalise(text) if c.isalpha()]
    return 2 * sum(c.isascii() for c in letters) > len(letters)


def padded(found: list[list[int]]):
    """Tensors (rows, longest) of token ids, padded with 0, and of which are there."""
    import torch

    ids = torch.zeros(len(found), max(map(len, found)), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(found):
        ids[row, :len(tokens)] = torch.tensor(tokens)
        mask[row, :len(tokens)] = 1
    return ids, mask


def build(layers: int, vocabulary: int, classes: int):
    """The network with random weights: BERT's first `layers` of width 384, the mean over tokens, one linear layer.

    Of torch alone: transformers' modules come one by one when first used, and fail a thread that asks for one while
    another thread, here the one that loads the chat model, is at it.
    """
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.places = nn.Embedding(vocabulary, 384), nn.Embedding(MOST_TOKENS, 384)
            self.norm, self.dropout = nn.LayerNorm(384, eps=1e-12), nn.Dropout(0.1)
            layer = nn.TransformerEncoderLayer(384, 12, 1536, activation="gelu", layer_norm_eps=1e-12, batch_first=True)
            self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
            self.head = nn.Linear(384, classes)

        def forward(self, ids, mask):
            places = torch.arange(ids.shape[1], device=ids.device)
            hidden = self.dropout(self.norm(self.words(ids) + self.places(places)))
            hidden = self.layers(hidden, src_key_padding_mask=mask == 0)
            weight = mask.unsqueeze(-1).to(hidden.dtype)
            return self.head((hidden * weight).sum(1) / weight.sum(1))

    return Network()


def tokenizer_of(vocabulary: list[str]):
    """BERT's word pieces of `vocabulary`, at most MOST_TOKENS a text."""
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer({piece: i for i, piece in enumerate(vocabulary)}, lowercase=True)
    tokenizer.enable_truncation(MOST_TOKENS)
    return tokenizer


@cache
def load(name: str) -> Encoder | None:
    """The encoder kira/data/NAME.safetensors; None where there is none."""
    path: Path = FOLDER / f"{name}.safetensors"
    if not path.is_file():
        return None
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["about"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    state = {key: (value.float() * tensors[f"{key}.scale"].float() if f"{key}.scale" in tensors else value.float())
             for key, value in tensors.items() if not key.endswith(".scale")}
    model = build(about["layers"], len(about["vocabulary"]), len(about["classes"]))
    model.load_state_dict(state)
    return Encoder(tuple(about["classes"]), model.eval(), tokenizer_of(about["vocabulary"]))
