"""MPNet's first layers with a head for classes, in torch alone, and its weights in few bits.

Of torch alone because transformers' modules come one by one when first used, and fail a thread that asks for one while
another thread, here the one that loads the chat model, is at it.
"""

import math
import warnings

import torch
from torch import nn

# torch 2.13 says at the first such tensor that they will go; `python -m kira.triage` has its own words on stderr.
warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)

MOST_TOKENS = 128
WIDTH, HEADS, DISTANCES = 768, 12, 32
GROUP = 64  # weights that share a scale where stored


def padded(found: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Tensors (rows, longest) of token ids, padded with 0, and of which are there."""
    ids = torch.zeros(len(found), max(map(len, found)), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(found):
        ids[row, :len(tokens)] = torch.tensor(tokens)
        mask[row, :len(tokens)] = 1
    return ids, mask


def distances(tokens: int) -> torch.Tensor:
    """(tokens, tokens) of how far each is from each, in DISTANCES kinds, before and behind apart: near ones exactly,
    far ones by the logarithm up to 128, as in MPNet (Song et al., arXiv 2004.09297) and T5."""
    ahead = torch.arange(tokens)[None] - torch.arange(tokens)[:, None]
    kinds, far = DISTANCES // 2, ahead.abs()
    near = kinds // 2
    logarithmic = near + (torch.log(far.clamp(min=1) / near) / math.log(128 / near) * (kinds - near)).long()
    return (ahead > 0) * kinds + torch.where(far < near, far, logarithmic.clamp(max=kinds - 1))


class Layer(nn.Module):
    """One of MPNet's layers: attention with a bias by distance, then a wider layer, each added and normalised."""

    def __init__(self):
        super().__init__()
        self.query_key_value, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.widen, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.dropout = nn.Dropout(0.1)

    def forward(self, hidden, bias):
        rows, tokens, _ = hidden.shape
        query, key, value = self.query_key_value(hidden).view(rows, tokens, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        read = nn.functional.scaled_dot_product_attention(
            query, key, value, bias.to(query.dtype), dropout_p=0.1 if self.training else 0.0)
        hidden = self.norm1(hidden + self.dropout(self.out(read.transpose(1, 2).flatten(2))))
        return self.norm2(hidden + self.dropout(self.narrow(self.dropout(nn.functional.gelu(self.widen(hidden))))))


class Network(nn.Module):
    """Token ids and mask (rows, tokens) -> logits (rows, classes): `layers` of MPNet, the mean over tokens, one linear
    layer; random weights until some are loaded."""

    def __init__(self, layers: int, vocabulary: int, classes: int):
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, WIDTH), nn.Embedding(MOST_TOKENS, WIDTH)
        self.norm, self.dropout = nn.LayerNorm(WIDTH), nn.Dropout(0.1)
        self.distance = nn.Embedding(DISTANCES, HEADS)
        self.layers = nn.ModuleList(Layer() for _ in range(layers))
        self.head = nn.Linear(WIDTH, classes)
        self.register_buffer("distances", distances(MOST_TOKENS), persistent=False)

    def forward(self, ids, mask):
        tokens = ids.shape[1]
        hidden = self.dropout(self.norm(self.words(ids) + self.places.weight[:tokens]))
        bias = self.distance(self.distances[:tokens, :tokens]).permute(2, 0, 1)
        bias = bias + torch.where(mask > 0, 0.0, -1e4)[:, None, None]  # (rows, heads, tokens, tokens)
        for layer in self.layers:
            hidden = layer(hidden, bias)
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        return self.head((hidden * weight).sum(1) / weight.sum(1))


class EightBits(nn.Module):
    """A linear layer that multiplies in 8 bits, three times as fast on a CPU.

    Each token's input is brought to its own range first: some neurons reach 95 on one token and stay below 1 on others.
    Weights use 7 of the 8 bits: AVX2 adds two products of 8 bits in 16, which 2 * 255 * 63 = 32,130 still fits.
    """

    def __init__(self, linear: nn.Linear):
        super().__init__()
        weight = linear.weight.detach()
        scale = weight.abs().amax(1).clamp(min=1e-8).double() / 63
        weight = torch.quantize_per_channel(weight, scale, torch.zeros_like(scale, dtype=torch.long), 0, torch.qint8)
        self.packed, self.bias = torch.ops.quantized.linear_prepack(weight, None), linear.bias.detach()

    def forward(self, hidden):
        most = hidden.abs().amax(-1, keepdim=True).clamp(min=1e-6)
        return torch.ops.quantized.linear_dynamic(hidden / most, self.packed, reduce_range=False) * most + self.bias


def packed(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(bytes, scales): whole numbers from -7 to 7, two a byte, and the 16-bit scale of each GROUP of a row."""
    groups = weight.float().reshape(-1, GROUP)
    scale = (groups.abs().amax(1, keepdim=True) / 7).half().float().clamp(min=2**-24)
    whole = ((groups / scale).round().clamp(-7, 7) + 8).to(torch.uint8).reshape(len(weight), -1)
    return whole[:, ::2] * 16 + whole[:, 1::2], scale.half().reshape(len(weight), -1)


def unpacked(stored: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The float32 weights (rows, columns) of what `packed` made."""
    weight = torch.empty(len(stored), 2 * stored.shape[1], device=stored.device)
    weight[:, ::2], weight[:, 1::2] = stored >> 4, stored & 15
    return weight.sub_(8).view(-1, GROUP).mul_(scale.float().reshape(-1, 1)).view(len(stored), -1)


def in_eight_bits(network: Network) -> Network:
    """The network, ready to read, its layers multiplying in 8 bits where this machine's torch can."""
    if "x86" in torch.backends.quantized.supported_engines:
        for layer in network.layers:
            for part in ("query_key_value", "out", "widen", "narrow"):
                setattr(layer, part, EightBits(getattr(layer, part)))
    return network.eval()
