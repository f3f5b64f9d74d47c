"""Base and adapters in memory once; answers as streams, fine-tuned alone or base and fine-tuned in one batch.

Adapters stay unmerged: each row of a batch is with one of them or none, and one pass of the base's weights serves all.
"""

import time
from functools import cached_property
from pathlib import Path
from queue import Empty

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kira.batch import Batch
from kira.decoder import Decoder, require_llama
from kira.errors import UserError
from kira.limits import MOST_SIDE_BY_SIDE, VISITORS
from kira.prompt import build_messages, encode_prompt, require_chat_template, trim_history
from kira.step import Step

INTERVAL_S = 0.05  # on ZeroGPU every step is a pickle, a pipe and a server-sent event
PROBE = build_messages("And beta-blockers (25 mg)?", [{"role": "user", "content": "What is Grüntzig's stent?"},
                                                      {"role": "assistant", "content": "A tube.\nIt keeps open."}])


class Engine:
    """One model with its `adapters`, the first of which answers; none: the base alone.

    Raises UserError for files that cannot be loaded.
    """

    def __init__(self, base: Path, adapters: list[Path], device: str, max_prompt_tokens: int, max_new_tokens: int):
        self.device, self.max_prompt_tokens = device, max_prompt_tokens
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        try:
            self.tokenizer, *others = map(AutoTokenizer.from_pretrained, adapters or [base])
            model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, use_safetensors=True)
        except Exception as error:  # OSError, ValueError, SafetensorError, ...: each names files, none a remedy
            raise UserError(f"The base model could not be loaded ({type(error).__name__}).") from error
        for tokenizer in (self.tokenizer, *others):
            require_chat_template(tokenizer)
        if len(self.tokenizer) > model.get_input_embeddings().num_embeddings:
            raise UserError("The tokenizer knows more tokens than the base model.")
        if not all(_reads_alike(self.tokenizer, other) for other in others):
            raise UserError("The adapters have unlike tokenizers or chat templates, so they cannot read one prompt.")
        self.adapters = len(adapters)
        for number, adapter in enumerate(adapters):
            model = _with_adapter(model, adapter, f"adapter_{number}")
        require_llama(model)
        self.model = model.to(device).eval().requires_grad_(False)
        ends = model.generation_config.eos_token_id
        self.ends = {self.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
        self.positions = min(max_prompt_tokens + max_new_tokens, model.config.max_position_embeddings)

    @cached_property
    def batch(self) -> Batch:
        """Made at first use: on ZeroGPU in the worker, for there is no GPU before."""
        rows = VISITORS * min(1 + self.adapters, MOST_SIDE_BY_SIDE)
        return Batch(Decoder(self.model, rows, self.positions, pack=self.device == "cpu"))

    def stream(self, messages: list[dict], models: list[int] | None = None, *, max_new_tokens, temperature, top_p, seed,
               deadline_s):
        """Steps of the answers of `models`, from one batch: 0 the base, 1 the first adapter, ...; None: the first
        adapter's, or the base's where there is none.

        Greedy at temperature 0, else sampled with `seed`; at most 20 steps a second, the last one with `ended` set.
        Closing the generator frees its rows. Raises UserError for a prompt that is too long, and whatever decoding
        raised.
        """
        rows = [min(self.adapters, 1)] if models is None else models
        max_new_tokens = min(max_new_tokens, self.positions // 2)
        ids, forgotten = trim_history(
            self.tokenizer, messages, min(self.max_prompt_tokens, self.positions - max_new_tokens)
        )
        started, first_s, shown = time.monotonic(), 0.0, 0.0
        made, done = [[] for _ in rows], [False] * len(rows)

        def step(ended=""):
            texts = [self.tokenizer.decode(row, skip_special_tokens=True).strip() for row in made]
            # A character of several tokens is not whole yet.
            texts = [text if ended else text.rstrip("\ufffd") for text in texts]
            return Step(texts, [len(row) for row in made], forgotten, first_s, time.monotonic() - started, ended)

        answer, ended = self.batch.answer(ids, rows, max_new_tokens, temperature, top_p, seed), "length"
        try:
            while not all(done):
                left_s = started + deadline_s - time.monotonic()
                try:
                    tokens = answer.steps.get(timeout=max(left_s, 0.0))
                except Empty:
                    ended = "deadline"
                    break
                if tokens is None:
                    break
                if isinstance(tokens, Exception):
                    raise tokens
                first_s = first_s or time.monotonic() - started
                for i, token in enumerate(tokens):
                    done[i] = done[i] or token in self.ends
                    if not done[i]:  # a row that has ended is decoded until the others end too
                        made[i].append(token)
                if time.monotonic() - shown >= INTERVAL_S:
                    yield step()
                    shown = time.monotonic()
            yield step("stop" if all(done) else ended)
        finally:
            self.batch.close(answer)


def _reads_alike(one, other) -> bool:
    return one.get_vocab() == other.get_vocab() and encode_prompt(one, PROBE) == encode_prompt(other, PROBE)


def _with_adapter(model, adapter: Path, name: str):
    """`model` with the adapter of that folder in place, its tensors exactly those that were saved."""
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    # On ZeroGPU PEFT would read straight to a GPU that is not there yet.
    how = {"adapter_name": name, "autocast_adapter_dtype": False, "torch_device": "cpu"}
    try:
        if isinstance(model, PeftModel):
            model.load_adapter(adapter, **how)
        else:
            model = PeftModel.from_pretrained(model, adapter, **how)
    except Exception as error:
        raise UserError(f"The adapter does not fit the base model ({type(error).__name__}).") from error
    with safe_open(adapter / "adapter_model.safetensors", framework="pt") as saved:
        # PEFT only warns about tensors that it misses or cannot place. Left to decide on embeddings, it asks the Hub.
        if set(saved.keys()) != set(get_peft_model_state_dict(model, None, name, save_embedding_layers=False)):
            raise UserError("The adapter does not fit the base model: it has tensors for other layers.")
    return model
