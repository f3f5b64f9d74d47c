"""What a training run will take, told after its first three steps: time, peak memory, cost at the recipe's price.

    python -m train_space train --recipe tuned --dry-run

Time is proportional to tokens, padding included, as steps 2 and 3 took them on this machine; step 1 also pays for what
happens once. A validation is a forward pass, half of what a step of LoRA takes a token (2 N operations of 4 N).
Generation probes are left out: how long answers become is what training changes.
"""

import math
import random
import time

import torch
from tqdm.auto import tqdm
from transformers import TrainerCallback

from train_space.progress import synchronize
from train_space.stages import peak_memory_mb

STEPS = 3
CHECKPOINT_BYTES_PER_S = 300e6  # written, read again and hashed; weights and two moments in float32


def padded_tokens(lengths: list[int], rows: int, width_step: int, grouped: bool) -> list[int]:
    """Tokens that each batch of an epoch computes, for an order drawn like the trainer's.

    `width_step`: rows are packed and padded to a multiple of it; 0: each row is padded to the longest of its batch.
    """
    order = list(range(len(lengths)))
    random.Random(0).shuffle(order)
    if grouped:
        order.sort(key=lengths.__getitem__)
    batches = [[lengths[i] for i in order[at: at + rows]] for at in range(0, len(order), rows)]
    if width_step:
        return [math.ceil(sum(batch) / width_step) * width_step for batch in batches]
    return [len(batch) * max(batch) for batch in batches]


class Counted:
    """A data collator that remembers how many tokens each batch has, padding included."""

    def __init__(self, collate):
        self.collate, self.tokens = collate, []

    def __call__(self, rows):
        batch = self.collate(rows)
        self.tokens.append(batch["input_ids"].numel())
        return batch


class Estimate(TrainerCallback):
    """`made` after three steps: a dictionary for recipe.json, or None when training ended before them."""

    def __init__(self, trainer, recipe, stops: bool):
        """`stops`: training ends as soon as the estimate is made."""
        self.trainer, self.recipe, self.stops = trainer, recipe, stops
        self.made, self._ends = None, []
        trainer.data_collator = self._counted = Counted(trainer.data_collator)

    def cost_usd(self, seconds: float) -> float | None:
        """At the recipe's price; None where it states none."""
        return round(seconds / 3600 * self.recipe.usd_per_hour, 4) if self.recipe.usd_per_hour else None

    def on_train_begin(self, args, state, control, **kwargs):
        self._begun, self._memory = time.perf_counter(), _memory_now_mb()

    def on_step_end(self, args, state, control, **kwargs):
        if len(self._ends) == STEPS:
            return
        synchronize()
        self._ends.append((time.perf_counter(), getattr(self.trainer, "capture_s", 0.0)))
        if len(self._ends) == STEPS:
            self.made = self._estimate(args, state)
            if state.is_world_process_zero:
                tqdm.write(in_words(self.made))
            control.should_training_stop |= self.stops

    def _estimate(self, args, state) -> dict:
        width_step = getattr(self.trainer, "width_step", 0)
        per_step = args.gradient_accumulation_steps
        seen = self._counted.tokens[: STEPS * per_step]
        if width_step:
            seen = [math.ceil(t / width_step) * width_step for t in seen]
        (first, first_captures), (last, captures) = self._ends[0], self._ends[-1]
        s_per_token = (last - first - (captures - first_captures)) / sum(seen[per_step:])
        once_s = first - self._begun - s_per_token * sum(seen[:per_step])
        lengths = [len(ids) for ids in self.trainer.train_dataset["input_ids"]]
        planned = padded_tokens(lengths, args.per_device_train_batch_size, width_step, self.recipe.group_by_length)
        tokens = sum(planned) / len(planned) * per_step * state.max_steps
        if width_step:  # a graph for each width
            once_s += (len(set(planned)) - len({*seen[:per_step]})) * captures / len({*seen})
        stops = math.ceil(state.max_steps / self.recipe.eval_steps)  # each with a validation and a checkpoint
        validated = self.trainer.eval_dataset
        validation_tokens = sum(map(len, validated["input_ids"])) / args.world_size if validated is not None else 0
        learnt = sum(p.numel() for p in self.trainer.model.parameters() if p.requires_grad)
        seconds = once_s + s_per_token * tokens + stops * (
            validation_tokens * s_per_token / 2 + 12 * learnt / CHECKPOINT_BYTES_PER_S)
        reached = peak_memory_mb()[_where()]
        peak = self._memory + (reached - self._memory) * max(1.0, max(planned) / max(seen))
        return {"training_time_s": round(seconds, 1), "peak_memory_mb": {_where(): round(peak)},
                "cost_usd": self.cost_usd(seconds), "steps": state.max_steps, "tokens": round(tokens),
                "trainable_parameters": learnt, "parameters": _parameters(self.trainer.model),
                "s_per_step": round(s_per_token * tokens / state.max_steps, 4)}


def in_words(made: dict) -> str:
    """One line for a person."""
    (where, peak), = made["peak_memory_mb"].items()
    cost = f", ${made['cost_usd']:.2f}" if made["cost_usd"] is not None else ""
    share = made["trainable_parameters"] / made["parameters"]
    return (f"estimate   {made['trainable_parameters']:,} of {made['parameters']:,} parameters ({share:.2%}), "
            f"{made['tokens']:,} tokens with padding in {made['steps']} steps: about {made['training_time_s']:.0f} s, "
            f"peak {peak / 1024:.1f} GB {'of the GPU' if where == 'gpu' else 'resident'}{cost}")


def _where() -> str:
    return "gpu" if torch.cuda.is_available() else "resident"


def _memory_now_mb() -> int:
    """Allocated on the GPU; for a CPU the peak of what is resident, which seldom falls."""
    return torch.cuda.memory_allocated() >> 20 if torch.cuda.is_available() else peak_memory_mb()["resident"]


def _parameters(model) -> int:
    """All parameters; two of them lie in each byte of a tensor in 4 bits."""
    return sum(p.numel() * (2 if hasattr(p, "quant_state") else 1) for p in model.parameters())
