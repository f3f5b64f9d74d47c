"""A Llama and its adapters as the fewest operations that decode: many rows a step, each with one adapter or none.

transformers spends some 60 operations a layer on a step, PEFT 70 more; a host launches one in 5 to 13 us, so a small
model waits for Python and not for its weights. Here a layer is 25: q, k and v are one product, gate and up another,
their adapters likewise, each row's adapters switched by factors of 0 or 1. One pass over the base's weights then serves
plain and fine-tuned answers, one visitor or many. On a GPU a step is captured once per size as a CUDA graph and
replayed; on a CPU it is traced once for all sizes, so that Python is left out, and the weights can be packed to 4
bits. Neither compiles.
"""

import math
import re
import warnings
from functools import cache

import torch
from torch.nn import functional

from kira import four_bits
from kira.errors import UserError

LENGTH_STEP = 256  # attention reads so many positions, or a multiple: what it reads beyond a row's end is wasted


@cache
def capture_stream():
    """The stream on which every CUDA graph is warmed up and captured: cuBLAS keeps 32 MB for good for each it meets."""
    return torch.cuda.Stream()


def is_plain_llama(config) -> bool:
    """The architecture that Decoder computes: Llama's, without biases."""
    return (config.model_type == "llama" and config.hidden_act == "silu"
            and not config.attention_bias and not config.mlp_bias)


def require_llama(model) -> None:
    """Raises UserError for a base, or an adapter on it, that Decoder would compute wrongly."""
    config = model.config
    if not is_plain_llama(config):
        raise UserError(f"Kira serves bases of Llama's architecture without biases; this one is {config.model_type}.")
    for name, _ in model.named_parameters():
        if "modules_to_save" in name or "lora_" in name and not re.search(r"\.(self_attn|mlp)\..*\.lora_[AB]\.", name):
            raise UserError("Kira serves plain LoRA on attention and MLP layers; this adapter has other parts.")


class Layer:
    """Weights of one decoder layer: four products, each (weight, A, B) with A and B None without adapter."""

    def __init__(self, layer, linear):
        attention, mlp = layer.self_attn, layer.mlp
        self.qkv = linear(attention.q_proj, attention.k_proj, attention.v_proj)
        self.out = linear(attention.o_proj)
        self.gate_up = linear(mlp.gate_proj, mlp.up_proj)
        self.down = linear(mlp.down_proj)
        self.norms = layer.input_layernorm.weight.detach(), layer.post_attention_layernorm.weight.detach()


class Decoder:
    """`slots` rows of at most `positions` tokens each. Greedy tokens equal `model.generate`'s in float32.

    `model`: LlamaForCausalLM, or PeftModel around it with LoRA adapters; its weights are shared where they need no
    change. A row is of the base, 0, or of an adapter, 1 for the first one loaded. `pack`: keep weights that lie on a
    4-bit grid in 4 bits (CPU only). Not for several threads at once.
    """

    def __init__(self, model, slots: int, positions: int, pack: bool = False):
        causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        config, decoder = causal.config, causal.get_decoder()
        self.slots = slots
        self.positions = min(positions, config.max_position_embeddings)
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_size = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.hidden, self.epsilon = config.hidden_size, config.rms_norm_eps
        weight = decoder.embed_tokens.weight
        self.device, self.dtype = weight.device, weight.dtype
        self.on_gpu = self.device.type == "cuda"
        self._packs, self._adapters = pack, list(model.peft_config) if causal is not model else []
        with torch.inference_mode():
            self.embedding, self.norm = weight.detach(), decoder.norm.weight.detach()
            self.layers = [Layer(layer, self._linear) for layer in decoder.layers]
            head = causal.get_output_embeddings().weight.detach()
            packed = isinstance(self.layers[0].qkv[0], four_bits.Packed)
            self.head = (four_bits.pack_in_8(head) if packed else None) or head
            at = torch.arange(self.positions, device=self.device)[None]
            cos, sin = decoder.rotary_emb(torch.zeros(1, dtype=torch.float32, device=self.device), at)
            self._least = torch.tensor(math.sqrt(self.hidden * self.epsilon), dtype=self.dtype, device=self.device)
            half = self.head_size // 2
            self.cos, self.sin = cos[0, :, None].to(self.dtype), sin[0, :, None].to(self.dtype)
            self.sin[..., :half].neg_()  # (x1, x2) turns into x cos + (x2, x1) (-sin, sin)
            shape = len(self.layers), slots, 2 * self.kv_heads, self.positions, self.head_size
            self.cache = torch.zeros(shape, dtype=self.dtype, device=self.device)
            self.tokens = torch.zeros(slots, dtype=torch.long, device=self.device)
            self.at = torch.zeros(slots, dtype=torch.long, device=self.device)
            self.adapted = torch.zeros(slots, max(len(self._adapters), 1), dtype=self.dtype, device=self.device)
            self._spots = torch.arange(self.positions, device=self.device)
            self._read = self._read_next if self.on_gpu else self._traced(min(slots, 2))
        self._lengths = [0] * slots
        self._graphs = {}

    @torch.inference_mode()
    def admit(self, slots: list[int], prompts: list[list[int]], adapted: list[int]) -> torch.Tensor:
        """Reads a prompt into each slot; float32 logits (prompts, vocabulary) of the token that follows.

        `adapted` has each prompt's adapter, 0 for the base. The slot's next token is the greedy one until `choose`
        names another.
        """
        width = max(map(len, prompts))
        padded = torch.tensor([p + [0] * (width - len(p)) for p in prompts])
        where = torch.tensor(slots)
        ends = torch.tensor([len(p) for p in prompts])
        choices = self.adapted.shape[1]
        switch = functional.one_hot(torch.tensor(adapted, dtype=torch.long), choices + 1)[:, 1:].to(self.dtype)
        padded, where, ends, switch = (t.to(self.device, non_blocking=True) for t in (padded, where, ends, switch))
        count = len(prompts)
        mixed = None if all(adapted) and choices == 1 else switch.repeat_interleave(width, 0)
        positions = torch.arange(width, device=self.device).repeat(count)

        def attend(layer, q, kv):
            kv = kv.view(count, width, 2 * self.kv_heads, self.head_size).transpose(1, 2)
            self.cache[layer, where, :, :width] = kv
            q = q.reshape(count, width, self.heads, self.head_size).transpose(1, 2)
            k, v = kv[:, : self.kv_heads], kv[:, self.kv_heads:]
            groups = self.heads // self.kv_heads
            made = functional.scaled_dot_product_attention(
                q, k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1), is_causal=True)
            return made.transpose(1, 2).reshape(count * width, -1)

        hidden = self._layers(padded.flatten(), positions, mixed, attend, any(adapted))
        last = hidden[torch.arange(count, device=self.device) * width + ends - 1]
        logits = self._logits(last)
        self.tokens[where] = logits.argmax(-1)
        self.at[where] = ends
        self.adapted[where] = switch
        for slot, prompt in zip(slots, prompts, strict=True):
            self._lengths[slot] = len(prompt)
        return logits.float()

    @torch.inference_mode()
    def choose(self, slot: int, token: int) -> None:
        """Makes `token` the next one of the slot, in place of the greedy one."""
        self.tokens[slot] = token

    @torch.inference_mode()
    def step(self, rows: int) -> torch.Tensor:
        """Reads the next token of slots 0 to rows - 1; float32 logits (rows, vocabulary) of those that follow.

        A slot in use must have room: its prompt and what it was given stay under `positions`. The result is valid
        until the next call.
        """
        length = min(max(self._lengths[:rows]) + 1, self.positions)
        for slot in range(rows):
            if self._lengths[slot]:  # else free
                self._lengths[slot] += 1
        if not self.on_gpu:
            return self._step(rows, length)
        length = min(-(-length // LENGTH_STEP) * LENGTH_STEP, self.positions)
        rows = min(1 << (rows - 1).bit_length(), self.slots)
        if (rows, length) not in self._graphs:
            self._graphs[rows, length] = self._capture(rows, length)
        graph, logits = self._graphs[rows, length]
        graph.replay()
        return logits

    @torch.inference_mode()
    def forget(self, slot: int) -> None:
        """The slot is free: it no longer makes attention long."""
        self._lengths[slot] = 0
        self.at[slot] = 0

    def _capture(self, rows, length):
        state = self.tokens.clone(), self.at.clone()
        stream = capture_stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._step(rows, length)  # libraries choose and allocate at the first call
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        others = next(iter(self._graphs.values()), None)
        with torch.cuda.graph(graph, pool=others[0].pool() if others else None, stream=stream):
            logits = self._step(rows, length)
        self.tokens.copy_(state[0])
        self.at.copy_(state[1])
        return graph, logits

    def _traced(self, rows):
        """`_read_next` as TorchScript, the same operations without Python between them; sizes stay free."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # what replaces it compiles: minutes, and a compiler
            traced = torch.jit.trace(self._read_next, self._inputs(rows, 2), check_trace=False)
        for _ in range(2):
            traced(*self._inputs(rows, 2))  # the first two calls also optimise: half a second
        return traced

    def _inputs(self, rows, length):
        return self.tokens[:rows], self.at[:rows], self.adapted[:rows], self._spots[:length]

    def _step(self, rows, length):
        inputs = tokens, at, *_ = self._inputs(rows, length)
        logits = self._logits(self._read(*inputs))
        tokens.copy_(logits.argmax(-1))
        at.add_(1).clamp_(max=self.positions - 1)
        return logits.float()

    def _read_next(self, tokens, at, adapted, spots):
        """Last hidden state (rows, hidden) of the tokens at positions `at`; attention sees the cache at `spots`."""
        rows, length, groups = tokens.shape[0], spots.shape[0], self.heads // self.kv_heads
        rooms = torch.arange(rows * 2 * self.kv_heads, device=self.device).view(rows, -1) * self.positions
        places = (rooms + at[:, None]).flatten()
        kept, seen = self.cache.flatten(1, 3).unbind(), self.cache[:, :rows, :, :length]
        keys, values = seen[:, :, : self.kv_heads].unbind(), seen[:, :, self.kv_heads:].unbind()
        mask = torch.zeros(rows, 1, 1, length, dtype=self.dtype, device=self.device)
        mask = mask.masked_fill_((spots > at[:, None])[:, None, None], -math.inf).expand(-1, -1, groups, -1)

        def attend(layer, q, kv):
            kept[layer].index_copy_(0, places, kv.reshape(-1, self.head_size))
            # The heads that share a key stand as so many queries of one: no key is copied.
            made = functional.scaled_dot_product_attention(
                q.view(rows, self.kv_heads, groups, self.head_size), keys[layer], values[layer], attn_mask=mask)
            return made.reshape(rows, -1)

        return self._layers(tokens, at, adapted, attend, True)

    def _layers(self, tokens, positions, adapted, attend, any_adapted):
        x = functional.embedding(tokens, self.embedding)
        cos, sin = self.cos[positions], self.sin[positions]
        turned, half = self.heads + self.kv_heads, self.head_size // 2
        keys = self.heads * self.head_size
        adapters = len(self._adapters)
        switch = adapted[..., None] if adapters > 1 else adapted

        def product(h, linear):
            weight, a, b = linear
            y = _times(h, weight)
            if a is None or not any_adapted:
                return y
            low = torch.mm(h, a)
            if adapters > 1:
                low.unflatten(1, (adapters, -1)).mul_(switch)
            elif switch is not None:
                low.mul_(switch)
            return y.addmm_(low, b)

        for number, layer in enumerate(self.layers):
            qkv = product(self._normed(x, layer.norms[0]), layer.qkv)
            qk = qkv[:, : turned * self.head_size].unflatten(1, (turned, self.head_size))
            swapped = qk.roll(half, -1)
            qk.mul_(cos).addcmul_(swapped, sin)
            x = x.add_(product(attend(number, qkv[:, :keys], qkv[:, keys:]), layer.out))
            gate, up = product(self._normed(x, layer.norms[1]), layer.gate_up).chunk(2, -1)
            x = x.add_(product(functional.silu(gate).mul_(up), layer.down))
        return x

    def _logits(self, hidden):
        return _times(self._normed(hidden, self.norm), self.head)

    def _normed(self, x, weight):
        if self.on_gpu:
            return functional.rms_norm(x, (self.hidden,), weight, self.epsilon)
        # On a CPU rms_norm is a chain of small operations; sqrt(mean(x^2) + e) = hypot(|x|, sqrt(n e)) / sqrt(n).
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return torch.mul(x, weight).div_(torch.hypot(norm, self._least, out=norm).mul_(self.hidden ** -0.5))

    def _linear(self, *modules):
        """(weight, A, B) of one product that does the work of all modules, which read the same input.

        y = x W^T + adapted (x A) B, with A (in, adapters * rank) and B (adapters * rank, out). Adapters follow each
        other in them, all as wide as the one with the largest sum of ranks, the others filled up with zeros.
        """
        bases = [getattr(m, "base_layer", m).weight.detach() for m in modules]
        weight = bases[0] if len(bases) == 1 else torch.cat(bases)
        weight = (four_bits.pack(weight) if self._packs else None) or weight
        pairs = [_low_rank(name, modules, bases) for name in self._adapters]
        rank = max((a.shape[1] for a, _ in pairs), default=0)
        if not rank:
            return weight, None, None
        lows = [functional.pad(a, (0, rank - a.shape[1])) for a, _ in pairs]
        highs = [functional.pad(b, (0, 0, 0, rank - b.shape[0])) for _, b in pairs]
        return weight, torch.cat(lows, 1).contiguous(), torch.cat(highs).contiguous()


def _low_rank(name, modules, bases):
    """A (in, sum of ranks) and B (sum of ranks, out) of one adapter, B block-diagonal and scaled."""
    lows, highs = [bases[0].new_zeros(bases[0].shape[1], 0)], []
    for module, base in zip(modules, bases, strict=True):
        if name in getattr(module, "lora_A", ()):
            lows.append(module.lora_A[name].weight.detach().T.to(base.dtype))
            highs.append(module.lora_B[name].weight.detach().T.to(base.dtype) * module.scaling[name])
        else:
            highs.append(base.new_zeros(0, base.shape[0]))
    return torch.cat(lows, 1), torch.block_diag(*highs)


def _times(x, weight):
    return four_bits.product(x, weight) if isinstance(weight, four_bits.Packed) else torch.mm(x, weight.T)
