"""Weights that were dequantized from 4 bits, packed to 4 bits again: a CPU then reads an eighth of the bytes.

A Q4_1 file stores groups of 32 weights as d q + m with q in 0..15. Of the dequantized weights the smallest and the
largest of a group give m and d back, and every q exactly, so the packed model is the model of the file. The embedding
of such files is stored in 8 bits, and is kept in 8 bits.
"""

from dataclasses import dataclass

import torch

GROUP, LEVELS = 32, 15


@dataclass(frozen=True)
class Packed:
    """A weight (out, in) that `product` multiplies by; `group` 0 means 8 bits with one scale per output."""

    weight: torch.Tensor
    scales: torch.Tensor
    group: int


def pack(weight: torch.Tensor) -> Packed | None:
    """`weight` (out, in) in 4 bits; None when it does not lie on such a grid or has a shape that kernels lack."""
    out, size = weight.shape
    if size % GROUP or out % 16:
        return None
    groups = weight.float().view(out, size // GROUP, GROUP)
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    step = ((high - low) / LEVELS).clamp_min_(1e-12)
    at = (groups - low) / step
    levels = at.round()
    # bfloat16 moved each weight by up to 2^-9 of itself, some hundredths of a step. Other weights lie anywhere: 0.25.
    if (at - levels).abs().mean() > 0.1:
        return None
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels.int().view(out, size), 1)
    scales = torch.cat([step, low + 8 * step], -1).transpose(0, 1).contiguous()  # the kernel computes (q - 8) d + z
    return Packed(packed, scales.bfloat16(), GROUP)


def pack_in_8(weight: torch.Tensor) -> Packed | None:
    """`weight` (out, in) in 8 bits, rounded by at most 1/254 of the largest of its row; None for odd shapes."""
    out, size = weight.shape
    if size % 32 or out % 16:
        return None
    scales = (weight.float().abs().amax(1, keepdim=True) / 127).clamp_min_(1e-12).bfloat16()
    levels = (weight.float() / scales.float()).round_().clamp_(-127, 127)
    return Packed(levels.to(torch.int8), scales[:, 0], 0)


def product(x: torch.Tensor, weight: Packed) -> torch.Tensor:
    """x (rows, in) times the packed weight transposed, in the dtype of x."""
    h = x.bfloat16()
    if weight.group:
        y = torch.ops.aten._weight_int4pack_mm_for_cpu(h, weight.weight, weight.group, weight.scales)
    else:
        y = torch.ops.aten._weight_int8pack_mm(h, weight.weight, weight.scales)
    return y.to(x.dtype)
