"""A Llama with LoRA over rows laid end to end: forward and backward in few kernels. On a GPU in bfloat16 only.

transformers and PEFT spend some 9,000 kernels on a step of a 1B model with LoRA on every projection. Here q, k and v
are one product and gate and up another, forward and backward; PEFT's casts, scalings and sums are inside of products;
and attention is told where each row begins (PyTorch's own variable-length attention: no kernel from the Hub).
"""

from dataclasses import dataclass
from inspect import signature

import torch
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn
from torch.utils.checkpoint import checkpoint

from kira.decoder import require_llama

# torch 2.11 finds out by itself that several heads share a key; later ones must be told.
GROUPED = {"enable_gqa": True} if "enable_gqa" in signature(varlen_attn).parameters else {}


@dataclass
class Part:
    """One module's adapter inside a Projection: its columns of the output, its ranks, its A and B."""

    out: slice
    ranks: slice
    a: torch.nn.Parameter
    b: torch.nn.Parameter
    rounded_b: torch.Tensor
    gradient_b: torch.Tensor | None = None


class Projection:
    """Linear modules that read the same input as one product: y = x W^T + scale dropout(x) A^T B^T.

    They share one dropout mask (PEFT draws one for each). The base's weights, unless in 4 bits, move into one tensor
    of which the modules' own become views.
    """

    def __init__(self, *modules):
        bases = [getattr(m, "base_layer", m) for m in modules]
        sizes = [b.out_features for b in bases]
        self.quantized = hasattr(bases[0].weight, "quant_state")
        self.weights = [b.weight for b in bases]
        if not self.quantized and len(bases) > 1:
            joined = torch.cat([b.weight.detach() for b in bases])
            for base, view in zip(bases, joined.split(sizes), strict=True):
                base.weight.data = view
            self.weights = [joined]
        dtype = bases[0].weight.quant_state.dtype if self.quantized else bases[0].weight.dtype
        self.parts, self.dropout, self.scale = [], 0.0, 1.0
        out, rank = 0, 0
        for module, size in zip(modules, sizes, strict=True):
            if hasattr(module, "lora_A"):
                (name,) = module.active_adapters
                a, b = module.lora_A[name].weight, module.lora_B[name].weight
                self.scale, self.dropout = module.scaling[name], getattr(module.lora_dropout[name], "p", 0.0)
                self.parts.append(Part(slice(out, out + size), slice(rank, rank + len(a)), a, b,
                                       torch.empty_like(b, dtype=dtype)))
                rank += len(a)
            out += size
        self.a = torch.empty(rank, bases[0].in_features, dtype=dtype, device=bases[0].weight.device)
        self.gradient_a = None

    @property
    def learnt(self) -> list[torch.nn.Parameter]:
        """Every A, then every B."""
        return [part.a for part in self.parts] + [part.b for part in self.parts]

    @property
    def rounded(self) -> list[torch.Tensor]:
        """Where `learnt`, in the base's dtype, must lie before a product."""
        return [self.a[part.ranks] for part in self.parts] + [part.rounded_b for part in self.parts]

    def dense(self) -> torch.Tensor:
        """The base's weight (out, in), unpacked from 4 bits where it lies in them."""
        if not self.quantized:
            return self.weights[0]
        from bitsandbytes.functional import dequantize_4bit

        made = [dequantize_4bit(w, w.quant_state) for w in self.weights]
        return made[0] if len(made) == 1 else torch.cat(made)

    def mask(self, tokens: int) -> torch.Tensor | None:
        """Which entries of an input (tokens, in) dropout keeps this time; None: all."""
        if not self.dropout:
            return None
        kept = torch.empty(tokens, self.a.shape[1], dtype=torch.bool, device=self.a.device)
        return kept.bernoulli_(1 - self.dropout)

    def dropped(self, x, mask):
        """x, scaled up, where the mask is set; what dropout does to its input, and to its gradient."""
        return x if mask is None else torch.ops.aten.native_dropout_backward(x, mask, 1 / (1 - self.dropout))

    def __call__(self, x, anchor, mask):
        return _Product.apply(x, anchor, self, mask)


class _Product(torch.autograd.Function):
    """Projection's product of x (tokens, in).

    The gradients of A and B are written to the projection's buffers and take no part in autograd: hundreds of small
    additions are spared, and DDP's hooks on the parameters, which a CUDA graph cannot hold, have nothing to wait for.
    """

    @staticmethod
    def forward(ctx, x, anchor, projection, mask):
        """`anchor`: any tensor that requires a gradient; without one, nothing in the first layer would."""
        y = torch.mm(x, projection.dense().T)
        ctx.projection = projection
        if projection.parts:
            low = torch.mm(projection.dropped(x, mask), projection.a.T).mul_(projection.scale)
            for part in projection.parts:
                y[:, part.out].addmm_(low[:, part.ranks], part.rounded_b.T)
            ctx.save_for_backward(x, mask, low)  # x times mask again costs less than its memory
        return y

    @staticmethod
    def backward(ctx, dy):
        projection = ctx.projection
        # The first layer needs no gradient of its input: nothing below it learns.
        dx = torch.mm(dy, projection.dense()) if ctx.needs_input_grad[0] else None
        if not projection.parts:
            return dx, None, None, None
        x, mask, low = ctx.saved_tensors
        dlow = torch.empty_like(low)
        for part in projection.parts:
            torch.mm(dy[:, part.out], part.rounded_b, out=dlow[:, part.ranks])
            _product_into(part.gradient_b, dy[:, part.out].T, low[:, part.ranks])
        dlow.mul_(projection.scale)
        _product_into(projection.gradient_a, dlow.T, projection.dropped(x, mask))
        if dx is not None and mask is None:
            dx.addmm_(dlow, projection.a)
        elif dx is not None:
            dx += projection.dropped(torch.mm(dlow, projection.a), mask)
        return dx, None, None, None


def _product_into(out, x, y):
    """x y in `out`, which may be float32 where they are bfloat16."""
    torch.mm(x, y, **({} if out.dtype == x.dtype else {"out_dtype": out.dtype}), out=out)


class _Rotated(torch.autograd.Function):
    """q and k (tokens, heads, head size) with rotary position embedding, and v, from their common product."""

    @staticmethod
    def forward(ctx, qkv, heads, kv_heads, cos, sin):
        qkv = qkv.view(len(qkv), heads + 2 * kv_heads, -1)
        ctx.shape, ctx.heads, ctx.cos, ctx.sin = qkv.shape, heads, cos, sin
        turned = torch.empty_like(qkv[:, :-kv_heads])
        _rotate(qkv[:, :-kv_heads], cos, sin, turned)
        return turned[:, :heads], turned[:, heads:], qkv[:, -kv_heads:].contiguous()  # a view would keep all of qkv

    @staticmethod
    def backward(ctx, dq, dk, dv):
        d = dq.new_empty(ctx.shape)
        kv_heads = dk.shape[1]
        _rotate(dq, ctx.cos, -ctx.sin, d[:, : ctx.heads])
        _rotate(dk, ctx.cos, -ctx.sin, d[:, ctx.heads: -kv_heads])
        d[:, -kv_heads:] = dv
        return d.flatten(1), None, None, None, None


def _rotate(x, cos, sin, out):
    half = x.shape[-1] // 2
    torch.mul(x[..., :half], cos, out=out[..., :half]).addcmul_(x[..., half:], sin, value=-1)
    torch.mul(x[..., half:], cos, out=out[..., half:]).addcmul_(x[..., :half], sin)


class _Gated(torch.autograd.Function):
    """silu(gate) * up."""

    @staticmethod
    def forward(ctx, gate, up):
        lifted = functional.silu(gate)
        ctx.save_for_backward(gate, up, lifted)
        return lifted * up

    @staticmethod
    def backward(ctx, dh):
        gate, up, lifted = ctx.saved_tensors
        return torch.ops.aten.silu_backward(dh * up, gate), dh * lifted


class PackedLlama:
    """The layers of a PEFT model around LlamaForCausalLM with one LoRA adapter. Raises UserError for other models.

    `saves_memory`: each layer and the loss, piece by piece, are computed again in the backward pass, for half as
    much work again. A backward pass overwrites `gradient`, which holds the gradients of `learnt` one after the other.
    """

    def __init__(self, model, saves_memory: bool):
        require_llama(model)
        causal = model.get_base_model()
        self.decoder, self.head = causal.get_decoder(), causal.get_output_embeddings().weight
        self.heads, self.kv_heads = causal.config.num_attention_heads, causal.config.num_key_value_heads
        self.epsilon = causal.config.rms_norm_eps
        self.saves_memory = saves_memory
        self.layers = []
        for layer in self.decoder.layers:
            attention, mlp = layer.self_attn, layer.mlp
            # Gate and up stay two products: what follows is twice as fast on tensors without gaps.
            self.layers.append((
                (Projection(attention.q_proj, attention.k_proj, attention.v_proj), Projection(attention.o_proj),
                 Projection(mlp.gate_proj), Projection(mlp.up_proj), Projection(mlp.down_proj)),
                (layer.input_layernorm.weight, layer.post_attention_layernorm.weight)))
        projections = [p for of_layer, _ in self.layers for p in of_layer]
        self.learnt = [p for projection in projections for p in projection.learnt]
        self._rounded = [t for projection in projections for t in projection.rounded]
        self.gradient = torch.zeros(sum(p.numel() for p in self.learnt), dtype=self.learnt[0].dtype,
                                    device=self.head.device)
        at = 0
        for projection in filter(lambda p: p.parts, projections):
            projection.gradient_a = self.gradient[at: at + projection.a.numel()].view_as(projection.a)
            at += projection.a.numel()
            for part in projection.parts:
                part.gradient_b = self.gradient[at: at + part.b.numel()].view_as(part.b)
                at += part.b.numel()

    def round(self) -> None:
        """Takes over what the optimizer changed; to be called before `hidden`."""
        with torch.no_grad():
            torch._foreach_copy_(self._rounded, self.learnt)

    def hidden(self, ids, positions, starts, longest: int, training: bool):
        """Final hidden states (tokens, size) of `ids` (tokens): row i runs from starts[i] to starts[i + 1].

        `starts`: int32, from 0 to the number of tokens; `longest`: no row has more tokens. Dropout only in training.
        """
        x = functional.embedding(ids, self.decoder.embed_tokens.weight)
        anchor = torch.zeros((), device=x.device, requires_grad=True) if training else None
        cos, sin = self.decoder.rotary_emb(x, positions[None])
        half = cos.shape[-1] // 2
        cos, sin = cos[0, :, None, :half], sin[0, :, None, :half]  # the second halves repeat the first

        def layer(x, number, masks):
            (qkv, out, gate, up, down), (first, second) = self.layers[number]
            h = self._normed(x, first)
            q, k, v = _Rotated.apply(qkv(h, anchor, masks[0]), self.heads, self.kv_heads, cos, sin)
            attended = varlen_attn(q, k, v, starts, starts, longest, longest, window_size=(-1, 0), **GROUPED)
            x = x + out(attended.flatten(1), anchor, masks[1])
            h = self._normed(x, second)
            return x + down(_Gated.apply(gate(h, anchor, masks[2]), up(h, anchor, masks[3])), anchor, masks[4])

        for number, (projections, _) in enumerate(self.layers):
            # Drawn out here: what a recomputed layer drew itself it would draw anew.
            masks = [p.mask(len(x)) if training else None for p in projections]
            x = _recomputed(layer, x, number, masks) if self.saves_memory else layer(x, number, masks)
        return self._normed(x, self.decoder.norm.weight)

    def loss_sum(self, hidden, labels):
        """Sum of -log p of `labels` (tokens; -100: none), in float32; labels[i] is what should follow token i."""
        # 10 bytes for each token and entry of the vocabulary: 41 MB for 128 tokens, 2.6 GB for 8192, at 32,000 entries.
        chunks = zip(hidden.split(128 if self.saves_memory else 8192),
                     labels.split(128 if self.saves_memory else 8192), strict=True)
        if self.saves_memory:
            return sum(_recomputed(self._chunk_loss, h, wanted) for h, wanted in chunks)
        return sum(self._chunk_loss(h, wanted) for h, wanted in chunks)

    def _chunk_loss(self, hidden, labels):
        return functional.cross_entropy(torch.mm(hidden, self.head.T).float(), labels, reduction="sum")

    def _normed(self, x, weight):
        return functional.rms_norm(x, weight.shape, weight, self.epsilon)


def _recomputed(function, *inputs):
    """What `function` returns, computed again in the backward pass instead of kept; it draws no random numbers."""
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
