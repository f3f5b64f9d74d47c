"""A transformer (kira/mpnet.py) reads passages of a text and says how alarming each is.

Its weights are data (train_space/text_encoder.py makes them from all-mpnet-base-v2): the first layers, the part of the
vocabulary that texts of people use and words of other languages beside it, 4 bits a weight. It reads Latin, Devanagari,
Arabic and Chinese letters; other writings are left to the rules and to the linear classifier.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from kira.classifier import FOLDER, words_of
from kira.normalise import normalise

LETTERS = re.compile("[a-z\u0900-\u097f\u0620-\u06ff\u3400-\u9fff]")
CHINESE = re.compile("[\u3400-\u9fff]+")
WORDS_A_PASSAGE = 80  # about 105 tokens; each overlaps the next by half, so that a danger is whole in one of them


@dataclass(frozen=True)
class Encoder:
    """`model`: passages of text -> (passages, classes) log-odds against the first class, "nothing"."""

    classes: tuple[str, ...]
    model: object
    tokenizer: object

    def scores(self, found: list[str]) -> np.ndarray:
        """Log-odds (passages, classes) of each class against the first, whose own is 0; the same every time."""
        import torch

        from kira.mpnet import padded

        ids, mask = padded([e.ids for e in self.tokenizer.encode_batch([normalise(part) for part in found])])
        with torch.inference_mode():
            logits = self.model(ids, mask)
        return (logits - logits[:, :1]).numpy()


def is_read(text: str) -> bool:
    """Most of its letters are of the writings that the encoder learnt; a text without letters is not read."""
    letters = [c for c in normalise(text) if c.isalpha()]
    return 2 * sum(bool(LETTERS.match(c)) for c in letters) > len(letters)


def passages(text: str) -> list[str]:
    """A short text as it is; a long one as overlapping passages of WORDS_A_PASSAGE."""
    words, step = words_of(text), WORDS_A_PASSAGE // 2
    if len(words) <= 1.25 * WORDS_A_PASSAGE:
        return [text]
    return ["".join(words[i: i + WORDS_A_PASSAGE]) for i in range(0, len(words) - step, step)]


def tokenizer_of(vocabulary: list[str]):
    """BERT's word pieces of `vocabulary`, at most MOST_TOKENS a text; Chinese words in it, then single characters."""
    from tokenizers import AddedToken, BertWordPieceTokenizer

    from kira.mpnet import MOST_TOKENS

    places = {piece: i for i, piece in enumerate(vocabulary)}
    tokenizer = BertWordPieceTokenizer(places, lowercase=True, strip_accents=False)  # Hindi's vowels would go with them
    tokenizer.add_tokens([AddedToken(p, normalized=False) for p in vocabulary if len(p) > 1 and CHINESE.fullmatch(p)])
    tokenizer.enable_truncation(MOST_TOKENS)
    return tokenizer


@cache
def load(name: str) -> Encoder | None:
    """The encoder kira/data/NAME.safetensors; None where there is none."""
    path: Path = FOLDER / f"{name}.safetensors"
    if not path.is_file():
        return None
    import torch
    from safetensors import safe_open

    from kira.mpnet import MOST_TOKENS, Network, distances, in_eight_bits, unpacked

    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["about"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    state = {key: unpacked(value, tensors[f"{key}.scale"]) if f"{key}.scale" in tensors else value.float()
             for key, value in tensors.items() if not key.endswith(".scale")}
    with torch.device("meta"):  # without a second spent on random weights
        network = Network(about["layers"], len(about["vocabulary"]), len(about["classes"]))
    network.load_state_dict(state, assign=True)
    network.distances = distances(MOST_TOKENS)
    return Encoder(tuple(about["classes"]), in_eight_bits(network), tokenizer_of(about["vocabulary"]))
