"""Base and adapter in memory once; answers as streams, fine-tuned alone or base and fine-tuned in one batch.

The adapter stays unmerged: a batch then names an adapter per row, and one pass of the base's weights serves both.
"""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, StoppingCriteria, StoppingCriteriaList

from kira.errors import UserError
from kira.prompt import require_chat_template, trim_history

INTERVAL_S = 0.05  # on ZeroGPU every step is a pickle, a pipe and a server-sent event
BASE, TUNED = "__base__", "default"


@dataclass
class Step:
    """Where a stream stands: one text per row, grown since the step before."""

    texts: list[str]
    tokens: list[int] = field(default_factory=list)
    forgotten: int = 0  # earlier turns that did not fit into the prompt
    first_s: float = 0.0
    seconds: float = 0.0
    ended: str = ""  # "" while running; then "stop", "length" or "deadline"

    @property
    def rate(self) -> float:
        """Tokens per second of all rows together, from the first token on."""
        return max(sum(self.tokens) - len(self.tokens), 0) / max(self.seconds - self.first_s, 1e-9)

    @property
    def notes(self) -> list[str]:
        """What a reader must know about the answer beyond its text, a sentence each."""
        said = []
        if self.forgotten:
            said.append(f"The first {self.forgotten} turns of the conversation no longer fit and were left out.")
        if self.ended == "deadline":
            said.append("The time limit was reached, so the answer is cut short.")
        if self.ended == "length":
            said.append("The length limit was reached, so the answer may be cut short.")
        return said


class Engine:
    """One model; `adapter` None: the base alone. Raises UserError for files that cannot be loaded."""

    def __init__(self, base: Path, adapter: Path | None, device: str, max_prompt_tokens: int):
        self.device, self.max_prompt_tokens = device, max_prompt_tokens
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(adapter or base)
            model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, use_safetensors=True)
        except Exception as error:  # OSError, ValueError, SafetensorError, ...: each names files, none a remedy
            raise UserError(f"The base model could not be loaded ({type(error).__name__}).") from error
        require_chat_template(self.tokenizer)
        if len(self.tokenizer) > model.get_input_embeddings().num_embeddings:
            raise UserError("The tokenizer knows more tokens than the base model.")
        self.has_adapter = adapter is not None
        if adapter:
            model = _with_adapter(model, adapter)
        self.model = model.to(device).eval().requires_grad_(False)
        ends = model.generation_config.eos_token_id
        self.ends = {self.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
        pad = self.tokenizer.pad_token_id
        self.pad = pad if pad is not None else next(iter(self.ends), 0)

    def stream(self, messages: list[dict], **options):
        """Steps of one answer, by the fine-tuned model where there is one. Options as in `_generate`."""
        yield from self._generate(messages, [TUNED] if self.has_adapter else None, **options)

    def stream_pair(self, messages: list[dict], **options):
        """Steps of two answers, base then fine-tuned, from one batch. Raises UserError without an adapter."""
        if not self.has_adapter:
            raise UserError("Only the base model could be loaded, so there is nothing to compare it with.")
        yield from self._generate(messages, [BASE, TUNED], **options)

    def _generate(self, messages, rows, *, max_new_tokens, temperature, top_p, seed, deadline_s):
        """Greedy at temperature 0, else sampled with `seed`; at most 20 steps a second, the last one with `ended` set.

        Closing the generator ends the model's thread before it returns. Raises UserError for a prompt that is too
        long, and whatever the model's thread raised.
        """
        positions = getattr(self.model.config, "max_position_embeddings", None) or 1 << 30
        max_new_tokens = min(max_new_tokens, positions // 2)
        ids, forgotten = trim_history(
            self.tokenizer, messages, min(self.max_prompt_tokens, positions - max_new_tokens)
        )
        count = len(rows or [BASE])
        prompt = torch.tensor([ids] * count, device=self.device)
        options = {"do_sample": False}
        if temperature > 0:
            options = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
        if rows and count > 1:
            options["adapter_names"] = rows

        started = time.monotonic()
        streamer, halt, failure = _Rows(), _Halt(started + deadline_s), []

        def work():
            try:
                torch.manual_seed(seed)
                with torch.inference_mode():
                    self.model.generate(
                        input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=max_new_tokens,
                        eos_token_id=sorted(self.ends), pad_token_id=self.pad, streamer=streamer,
                        stopping_criteria=StoppingCriteriaList([halt]), **options,
                    )
            except BaseException as error:
                failure.append(error)
                streamer.end()  # otherwise the reader waits for ever

        made, done = [[] for _ in range(count)], [False] * count
        first_s, shown = 0.0, 0.0

        def step(ended=""):
            texts = [self.tokenizer.decode(row, skip_special_tokens=True).strip() for row in made]
            # A character of several tokens is not whole yet.
            texts = [text if ended else text.rstrip("\ufffd") for text in texts]
            return Step(texts, [len(row) for row in made], forgotten, first_s, time.monotonic() - started, ended)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            while (tokens := streamer.steps.get()) is not None:
                first_s = first_s or time.monotonic() - started
                for i, token in enumerate(tokens):
                    done[i] = done[i] or token in self.ends
                    if not done[i]:  # a row that has ended is padded until the other ends too
                        made[i].append(token)
                if time.monotonic() - shown >= INTERVAL_S:
                    yield step()
                    shown = time.monotonic()
            if failure:
                raise failure[0]
            yield step("stop" if all(done) else "deadline" if halt.late else "length")
        finally:
            halt.now.set()
            thread.join()


def _with_adapter(model, adapter: Path):
    """`model` with the adapter of that folder in place, its tensors exactly those that were saved."""
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    try:
        # On ZeroGPU PEFT would read straight to a GPU that is not there yet.
        model = PeftModel.from_pretrained(model, adapter, autocast_adapter_dtype=False, torch_device="cpu")
    except Exception as error:
        raise UserError(f"The adapter does not fit the base model ({type(error).__name__}).") from error
    with safe_open(adapter / "adapter_model.safetensors", framework="pt") as saved:
        # PEFT only warns about tensors that it misses or cannot place. Left to decide on embeddings, it asks the Hub.
        if set(saved.keys()) != set(get_peft_model_state_dict(model, save_embedding_layers=False)):
            raise UserError("The adapter does not fit the base model: it has tensors for other layers.")
    return model


class _Rows:
    """Streamer for a batch: transformers' own refuses more than one row."""

    def __init__(self):
        self.steps, self._prompt = Queue(), True

    def put(self, value):
        if self._prompt:  # generate() first hands over the prompt itself
            self._prompt = False
        else:
            self.steps.put(value.tolist())

    def end(self):
        self.steps.put(None)


class _Halt(StoppingCriteria):
    """Ends all rows once `now` is set or the deadline has passed: a thread cannot be ended from outside."""

    def __init__(self, deadline: float):
        self.now, self.deadline, self.late = threading.Event(), deadline, False

    def __call__(self, input_ids, scores, **kwargs):
        self.late = self.late or time.monotonic() > self.deadline
        return torch.full((input_ids.shape[0],), self.now.is_set() or self.late, device=input_ids.device)
