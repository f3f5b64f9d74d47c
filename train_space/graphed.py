"""SFTTrainer whose steps replay a CUDA graph over packed rows: the same rows, loss and gradients in far fewer launches.

One step of a 1B model with LoRA on every projection is some 9,000 kernels. A host launches one in about 13 us, 120 ms a
step, while the GPU needs a fifth of that to compute them. A CUDA graph launches them all at once. A graph has fixed
shapes, so the rows of a step are laid end to end (TRL's padding-free batches), padded to one of a few sizes, and
attention is told where each row begins (PyTorch's own variable-length attention: no kernel from the Hub).
"""

from functools import partial

import torch
from peft.tuners.lora import LoraLayer
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface
from transformers.models.llama import modeling_llama
from trl import SFTTrainer

ATTENTION = "packed_varlen"


def packed_attention(module, query, key, value, attention_mask, cu_seq_lens_q, max_length_q, scaling=None, **kwargs):
    """Causal attention inside each row of a packed sequence; (1, heads, tokens, head_dim) in, (1, tokens, ...) out."""
    from torch.nn.attention.varlen import varlen_attn

    query, key, value = (x[0].transpose(0, 1) for x in (query, key, value))
    made = varlen_attn(query, key, value, cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q, scale=scaling,
                       window_size=(-1, 0))
    return made[None], None


class LoraProjection(torch.autograd.Function):
    """y = x W^T + scale dropout(x) A^T B^T, and its gradients, with every addition inside a matrix product.

    PEFT's own casts the input to float32, for autocast to cast it back, and scales and adds in kernels of their own: of
    a step of 16 rows of a 1.1B model that took a third. `weight` may be bitsandbytes' 4 bits.
    """

    @staticmethod
    def forward(ctx, x, weight, a, b, rounded, scale, dropout):
        """`rounded`: a and b in the dtype of x; their gradients go to a and b themselves."""
        tokens = x.flatten(0, -2)
        dropped, mask = torch.native_dropout(tokens, dropout, True) if dropout else (tokens, None)
        low = torch.mm(dropped, rounded[0].T).mul_(scale)
        y = torch.mm(tokens, _dense(weight).T).addmm_(low, rounded[1].T)
        ctx.save_for_backward(dropped, mask, low)
        ctx.weight, ctx.rounded, ctx.scale, ctx.dropout = weight, rounded, scale, dropout
        ctx.dtype = a.dtype
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx, dy):
        dropped, mask, low = ctx.saved_tensors
        a, b = ctx.rounded
        rows = dy.flatten(0, -2)
        dlow = torch.mm(rows, b).mul_(ctx.scale)
        da = torch.mm(dlow.T, dropped, out_dtype=ctx.dtype)
        db = torch.mm(rows.T, low, out_dtype=ctx.dtype)
        if not ctx.needs_input_grad[0]:  # the first layer: nothing below it learns
            return None, None, da, db, None, None, None
        dx = torch.mm(rows, _dense(ctx.weight))
        if mask is None:
            dx.addmm_(dlow, a)
        else:
            dx += torch.ops.aten.native_dropout_backward(torch.mm(dlow, a), mask, 1 / (1 - ctx.dropout))
        return dx.view(*dy.shape[:-1], -1), None, da, db, None, None, None


class Rotation(torch.autograd.Function):
    """Rotary position embedding of x (1, heads, tokens, head_dim) in two passes over x; the stock one takes five."""

    @staticmethod
    def forward(ctx, x, cos, sin):
        ctx.cos, ctx.sin = cos, sin
        return _rotated(x, cos, sin)

    @staticmethod
    def backward(ctx, dy):
        return _rotated(dy, ctx.cos, -ctx.sin), None, None


def _rotated(x, cos, sin):
    half = x.shape[-1] // 2
    cos, sin = cos[..., :half], sin[..., :half]  # the second halves repeat the first
    y = torch.empty_like(x)
    torch.mul(x[..., :half], cos, out=y[..., :half]).addcmul_(x[..., half:], sin, value=-1)
    torch.mul(x[..., half:], cos, out=y[..., half:]).addcmul_(x[..., :half], sin)
    return y


def rotate(q, k, cos, sin, unsqueeze_dim=1):
    """Stands in for transformers' `apply_rotary_pos_emb` of Llama."""
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    return Rotation.apply(q, cos, sin), Rotation.apply(k, cos, sin)


def norm_forward(norm, x):
    """Forward of a Llama-like RMSNorm in one kernel instead of eight."""
    return functional.rms_norm(x, norm.weight.shape, norm.weight, norm.variance_epsilon)


def recomputed(function, *inputs):
    """What `function` returns, computed again in the backward pass instead of kept; it must draw no random numbers."""
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)


def _has_dropout(module) -> bool:
    return any(isinstance(m, torch.nn.Dropout) and m.p for m in module.modules())


def _summed_loss(head, hidden, labels):
    return functional.cross_entropy(head(hidden).float(), labels, reduction="sum")


def _dense(weight):
    state = getattr(weight, "quant_state", None)
    if state is None:
        return weight
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(weight, state)


AttentionInterface.register(ATTENTION, packed_attention)


def adapt(arguments) -> None:
    """Changes an SFTConfig to what GraphedSFTTrainer needs, without what waits for the GPU.

    One pass per optimizer step, unless activation checkpointing says that memory is short.
    """
    arguments.model_init_kwargs["attn_implementation"] = ATTENTION
    if not arguments.activation_checkpointing:  # memory is not short
        arguments.per_device_train_batch_size *= arguments.gradient_accumulation_steps
        arguments.gradient_accumulation_steps = 1
    arguments.per_device_eval_batch_size = 16 if arguments.activation_checkpointing else 128
    arguments.activation_checkpointing = False  # it restores random states, which a graph cannot
    if arguments.optim == "adamw_torch":
        arguments.optim = "adamw_torch_fused"  # the same update in a few launches
    arguments.logging_steps, arguments.logging_first_step = 10, True  # each logged loss waits for the GPU
    arguments.logging_nan_inf_filter = False  # so does this, at every step
    arguments.accelerator_config.non_blocking = True  # and so does a copy from the host


class GraphedSFTTrainer(SFTTrainer):
    """For one GPU and a model loaded with `attn_implementation=ATTENTION`; `saves_memory`: for time."""

    def __init__(self, *args, saves_memory: bool = False, **kwargs):
        super().__init__(*args, **kwargs)
        self._chunks = 8 if saves_memory else 1
        # Asked for in SFTConfig, TRL would no longer cut rows at max_length.
        self.data_collator.padding_free = True
        self._graphs, self._gradients = {}, {}
        self._width = max(128, 16 * self.args.per_device_train_batch_size)
        self._learnt = [p for p in self.model.parameters() if p.requires_grad]
        self._rounded = {p: p.detach().bfloat16() for p in self._learnt}
        for module in self.model.modules():
            if isinstance(module, LoraLayer):
                module.forward = partial(self._projected, module)
            elif hasattr(module, "variance_epsilon"):
                module.forward = partial(norm_forward, module)
            elif saves_memory and isinstance(module, modeling_llama.LlamaMLP) and not _has_dropout(module):
                module.forward = partial(recomputed, module.forward)
        modeling_llama.apply_rotary_pos_emb = rotate

    def training_step(self, model, inputs, num_items_in_batch=None):
        """Loss of the batch; its gradients are added to `.grad` as Trainer expects."""
        if not model.training:  # walking through all modules costs a millisecond
            model.train()
        inputs = self._prepare_inputs(inputs)
        self._restore_gradients(model)
        width = -(-inputs["input_ids"].shape[1] // self._width) * self._width
        if width not in self._graphs:
            self._graphs[width] = self._capture(model, inputs, num_items_in_batch, width)
        graph, batch, loss = self._graphs[width]
        self._fill(batch, inputs, num_items_in_batch)
        graph.replay()
        return loss.clone()

    def floating_point_ops(self, inputs):
        """Not counted: Trainer would walk through every parameter at every step."""
        return 0

    def _projected(self, layer, x):
        """Forward of a PEFT projection, through LoraProjection while training."""
        if not layer.training:
            return type(layer).forward(layer, x)
        (name,) = layer.active_adapters
        a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
        return LoraProjection.apply(x, layer.base_layer.weight, a, b, (self._rounded[a], self._rounded[b]),
                                    layer.scaling[name], getattr(layer.lora_dropout[name], "p", 0.0))

    def _restore_gradients(self, model):
        """Puts the graphs' gradients back, zeroed, where Trainer has dropped them after an optimizer step."""
        if not self._gradients:
            self._gradients = {p: torch.zeros_like(p) for p in self._learnt}
        dropped = [p for p in self._gradients if p.grad is None]
        if dropped:
            torch._foreach_zero_([self._gradients[p] for p in dropped])
            for p in dropped:
                p.grad = self._gradients[p]

    def _fill(self, batch, inputs, num_items):
        """Copies a batch to where its graph reads: labels moved to the token before, what is left over as one row."""
        count = inputs["input_ids"].shape[1]
        for name in ("input_ids", "position_ids"):
            batch[name][:, :count].copy_(inputs[name])
            batch[name][:, count:].zero_()
        batch["labels"].fill_(-100)
        batch["labels"][: count - 1].copy_(inputs["labels"][0, 1:])
        starts = inputs["cu_seq_lens_q"]
        batch["starts"].fill_(batch["labels"].numel())
        batch["starts"][: len(starts)].copy_(starts)
        batch["num_items"].copy_(torch.as_tensor(num_items))

    def _capture(self, model, inputs, num_items, width):
        device, rows = inputs["input_ids"].device, self.args.per_device_train_batch_size
        batch = {"input_ids": torch.zeros(1, width, dtype=torch.long, device=device),
                 "position_ids": torch.zeros(1, width, dtype=torch.long, device=device),
                 "labels": torch.zeros(width, dtype=torch.long, device=device),
                 "starts": torch.zeros(rows + 2, dtype=torch.int32, device=device),
                 "num_items": torch.ones((), device=device)}
        self._fill(batch, inputs, num_items)
        # What is computed to warm up and to capture must leave no trace in dropout's random numbers.
        state, kept = torch.cuda.get_rng_state(), [g.clone() for g in self._gradients.values()]
        if not self._graphs:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(2):
                    self._forward_backward(model, batch)
            torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        others = next(iter(self._graphs.values()), None)
        with torch.cuda.graph(graph, pool=others[0].pool() if others else None):
            loss = self._forward_backward(model, batch)
        torch.cuda.set_rng_state(state)
        torch._foreach_copy_(list(self._gradients.values()), kept)
        return graph, batch, loss

    def _forward_backward(self, model, batch):
        causal = self.accelerator.unwrap_model(model).get_base_model()
        longest = max(self.args.max_length, self._width)
        torch._foreach_copy_(list(self._rounded.values()), self._learnt)
        with self.accelerator.autocast():
            hidden = causal.get_decoder()(
                input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False,
                cu_seq_lens_q=batch["starts"], max_length_q=longest,
            ).last_hidden_state
            head = causal.get_output_embeddings()
            parts = zip(hidden[0].chunk(self._chunks), batch["labels"].chunk(self._chunks), strict=True)
            if self._chunks == 1:
                loss = sum(_summed_loss(head, h, labels) for h, labels in parts)
            else:  # 12 bytes for each token and entry of the vocabulary are more than all of a layer's activations
                loss = sum(recomputed(_summed_loss, head, h, labels) for h, labels in parts)
            loss = loss / batch["num_items"]
        loss.backward()
        return loss.detach()
