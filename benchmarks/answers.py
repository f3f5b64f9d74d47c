"""What the decoding benchmarks share: an adapted model, one visitor's stream, `generate` for a fixed length."""

import time

import torch
from peft import LoraConfig, get_peft_model

from kira.batch import Batch


def load(base, dtype, device: str):
    """The base of that folder with an adapter on every linear layer whose update is not zero."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    adapter = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(model, adapter, autocast_adapter_dtype=False).to(device).eval()
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.02)
    return model


def stream(batch: Batch, prompt: list[int], adapted: list[bool], new: int) -> tuple[float, float]:
    """(seconds a step, seconds to the first token) of one answer as a visitor gets it."""
    start = time.perf_counter()
    answer = batch.answer(prompt, adapted, new, 0.0, 1.0, 0)
    answer.steps.get()
    first = time.perf_counter() - start
    while answer.steps.get() is not None:
        pass
    return (time.perf_counter() - start - first) / (new - 1), first


def generate_step(model, prompt: list[int], rows: int, steps: int) -> tuple[float, float]:
    """(seconds a step, seconds to the first token) of transformers' `generate`, over `steps` steps."""
    ids = torch.tensor([prompt] * rows, device=model.device)

    def seconds(count):
        start = time.perf_counter()
        with torch.inference_mode():
            made = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=count,
                                  min_new_tokens=count, do_sample=False, pad_token_id=0)
        made.tolist()  # waits for the GPU
        return time.perf_counter() - start

    seconds(2)
    first = seconds(1)
    return (seconds(steps + 1) - first) / steps, first
