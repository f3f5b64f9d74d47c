"""SFTTrainer whose steps replay a CUDA graph over packed rows: the same rows, loss and gradients in far fewer launches.

A host launches a kernel in about 13 us, so the 9,000 kernels of a 1B model's step take it 120 ms, several times what
the GPU needs to compute them. A CUDA graph launches them all at once. A graph has fixed shapes, so the rows of a step
are laid end to end (TRL's padding-free batches) and padded to one of a few sizes. With several GPUs each process
replays its share of the step and the gradients, which lie in one buffer, are summed by one all-reduce.
"""

import time

import torch
from trl import SFTTrainer

from kira.decoder import capture_stream
from train_space.packed_llama import PackedLlama


def adapt(arguments) -> None:
    """Changes an SFTConfig to what GraphedSFTTrainer needs, without what waits for the GPU.

    One pass per optimizer step, unless activation checkpointing says that memory is short.
    """
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
    """For one GPU a process; `saves_memory`: for time."""

    def __init__(self, *args, saves_memory: bool = False, **kwargs):
        super().__init__(*args, **kwargs)
        # Asked for in SFTConfig, TRL would no longer cut rows at max_length.
        self.data_collator.padding_free = True
        self._packed = PackedLlama(self.model, saves_memory)
        self._graphs, self.capture_s = {}, 0.0
        self.width_step = max(128, 16 * self.args.per_device_train_batch_size)
        self._longest = max(map(len, self.train_dataset["input_ids"]))
        self._flat_gradient = torch.zeros_like(self._packed.gradient)
        parts = self._flat_gradient.split([p.numel() for p in self._packed.learnt])
        self._gradients = [part.view_as(p) for part, p in zip(parts, self._packed.learnt, strict=True)]

    def training_step(self, model, inputs, num_items_in_batch=None):
        """Loss of the batch; its gradients are added to `.grad` as Trainer expects."""
        if not model.training:  # walking through all modules costs a millisecond
            model.train()
        inputs = self._prepare_inputs(inputs)
        self._restore_gradients()
        width = -(-inputs["input_ids"].shape[1] // self.width_step) * self.width_step
        if width not in self._graphs:
            start = time.perf_counter()
            self._graphs[width] = self._capture(inputs, num_items_in_batch, width)
            self.capture_s += time.perf_counter() - start
        graph, batch, loss = self._graphs[width]
        self._fill(batch, inputs, num_items_in_batch)
        graph.replay()
        processes = self.accelerator.num_processes
        if processes > 1 and self.accelerator.sync_gradients:
            torch.distributed.all_reduce(self._flat_gradient)
        return loss * processes  # Trainer logs the mean over the processes

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        """(mean loss of the batch's answers, None, None)."""
        inputs = self._prepare_inputs(inputs)
        labels = _following(inputs["labels"][0])
        self._packed.round()
        with torch.no_grad():
            hidden = self._packed.hidden(inputs["input_ids"][0], inputs["position_ids"][0], inputs["cu_seq_lens_q"],
                                         int(inputs["max_length_q"]), training=False)
            loss = self._packed.loss_sum(hidden, labels)
        return loss / labels.ne(-100).sum(), None, None

    def floating_point_ops(self, inputs):
        """Not counted: Trainer would walk through every parameter at every step."""
        return 0

    def _restore_gradients(self):
        """Puts the graphs' gradients back, zeroed, where Trainer has dropped them after an optimizer step."""
        if self._packed.learnt[0].grad is None:
            self._flat_gradient.zero_()
            for parameter, gradient in zip(self._packed.learnt, self._gradients, strict=True):
                parameter.grad = gradient

    def _fill(self, batch, inputs, num_items):
        """Copies a batch to where its graph reads; what is left of its width becomes rows without labels."""
        count, width = inputs["input_ids"].shape[1], batch["labels"].numel()
        for name in ("input_ids", "position_ids"):
            batch[name][:count].copy_(inputs[name][0])
            batch[name][count:].zero_()
        batch["labels"].fill_(-100)
        batch["labels"][:count].copy_(_following(inputs["labels"][0]))
        starts = inputs["cu_seq_lens_q"]
        left = torch.tensor(range(count + self._longest, width, self._longest), dtype=torch.int32)
        batch["starts"].fill_(width)
        batch["starts"][: len(starts)].copy_(starts)
        batch["starts"][len(starts): len(starts) + len(left)].copy_(left, non_blocking=True)
        batch["num_items"].copy_(torch.as_tensor(num_items))

    def _capture(self, inputs, num_items, width):
        device, rows = inputs["input_ids"].device, self.args.per_device_train_batch_size
        most = rows + 2 + self.width_step // self._longest
        batch = {name: torch.zeros(width, dtype=torch.long, device=device)
                 for name in ("input_ids", "position_ids", "labels")}
        batch |= {"starts": torch.zeros(most, dtype=torch.int32, device=device),
                  "num_items": torch.ones((), device=device)}
        self._fill(batch, inputs, num_items)
        # What is computed to warm up and to capture must leave no trace in dropout's random numbers.
        state, kept = torch.cuda.get_rng_state(), self._flat_gradient.clone()
        if not self._graphs:
            stream = capture_stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                self._forward_backward(batch)
            torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        others = next(iter(self._graphs.values()), None)
        with torch.cuda.graph(graph, pool=others[0].pool() if others else None, stream=capture_stream()):
            loss = self._forward_backward(batch)
        torch.cuda.set_rng_state(state)
        self._flat_gradient.copy_(kept)
        return graph, batch, loss

    def _forward_backward(self, batch):
        self._packed.round()
        hidden = self._packed.hidden(batch["input_ids"], batch["position_ids"], batch["starts"], self._longest,
                                     training=True)
        loss = self._packed.loss_sum(hidden, batch["labels"]) / batch["num_items"]
        loss.backward()
        self._flat_gradient += self._packed.gradient
        return loss.detach()


def _following(labels):
    """Labels (tokens) moved to the token before: what should follow each. A row's first token is never one."""
    return torch.cat([labels[1:], labels.new_full((1,), -100)])
