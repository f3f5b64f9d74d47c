"""Answers to many prompts at once, from the base or the fine-tuned: greedy ones, and samples of one prompt."""

from contextlib import nullcontext
from dataclasses import dataclass

from tqdm.auto import tqdm

from kira.errors import UserError
from kira.prompt import build_messages, encode_answer, encode_prompt
from train_space.processes import shared


@dataclass(frozen=True)
class Decoding:
    """How answers are generated: greedy, so that a figure can be repeated."""

    max_new_tokens: int
    batch_size: int


def outputs(model, tokenizer, prompts: list[list[int]], adapted: list[bool], decoding: Decoding,
            temperature: float = 0.0, seed: int = 0) -> list[list[int]]:
    """Token ids of each answer, through its end-of-turn token where one came; with the adapter where `adapted` says so.

    Greedy at temperature 0. Answers of a Llama share the decoder's steps; `generate` serves other bases and adapters.
    Processes share the prompts.
    """
    return shared(lambda mine: _outputs(model, tokenizer, [prompts[i] for i in mine], [adapted[i] for i in mine],
                                        decoding, temperature, [seed + i for i in mine]), len(prompts))


def _outputs(model, tokenizer, prompts, adapted, decoding, temperature, seeds) -> list[list[int]]:
    from kira.batch import greedy, sampled
    from kira.decoder import Decoder, require_llama

    ends = end_tokens(model, tokenizer)
    try:
        require_llama(model)
    except UserError:
        made = [[] for _ in prompts]
        for side in set(adapted):
            chosen = [i for i, with_adapter in enumerate(adapted) if with_adapter == side]
            with only_base(model, not side):
                found = generate(model, tokenizer, [prompts[i] for i in chosen], ends, decoding,
                                 "tuned" if side else "base", temperature, seeds[0])
            for i, ids in zip(chosen, found, strict=True):
                made[i] = ids
        return made
    slots = min(decoding.batch_size, len(prompts))
    decoder = Decoder(model, slots, max(map(len, prompts)) + decoding.max_new_tokens)
    with tqdm(total=len(prompts), desc="answers", unit="row", leave=None) as bar:
        if temperature:
            return sampled(decoder, prompts, adapted, decoding.max_new_tokens, ends, temperature, seeds, bar.update)
        return greedy(decoder, prompts, adapted, decoding.max_new_tokens, ends, bar.update)


def generate(model, tokenizer, prompts, ends, decoding, description, temperature=0.0, seed=0) -> list[list[int]]:
    """What `outputs` returns, by transformers' own `generate` in padded batches, of the model as it stands."""
    import torch

    made = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)  # like lengths: less padding
    size = decoding.batch_size
    how = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0} if temperature else {
        "do_sample": False}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for batch in tqdm([order[i: i + size] for i in range(0, len(order), size)], desc=description, unit="batch"):
            width = max(len(prompts[i]) for i in batch)
            ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(prompts[i])) + prompts[i] for i in batch])
            mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in batch])
            with torch.inference_mode():
                found = model.generate(
                    input_ids=ids.to(model.device), attention_mask=mask.to(model.device), **how,
                    max_new_tokens=decoding.max_new_tokens, eos_token_id=sorted(ends),
                    pad_token_id=tokenizer.pad_token_id,
                )
            for i, row in zip(batch, found[:, width:].tolist(), strict=True):
                made[i] = through_end(row, ends)
    return made


def only_base(model, yes: bool):
    """A context in which the model answers without its adapter, or as it is."""
    return model.disable_adapter() if yes else nullcontext()


def prompt_and_target(model, tokenizer, question: str, answer: str, history=()) -> tuple[list[int], list[int]]:
    """Token ids of the conversation up to where the answer begins, and of the answer through its end of turn."""
    messages = build_messages(question, history)
    target = encode_answer(tokenizer, messages, answer)
    return encode_prompt(tokenizer, messages), through_end(target, end_tokens(model, tokenizer))


def end_tokens(model, tokenizer) -> set[int]:
    """Every token that ends an answer."""
    declared = model.generation_config.eos_token_id
    declared = declared if isinstance(declared, list) else [] if declared is None else [declared]
    return {*declared, tokenizer.eos_token_id}


def through_end(ids: list[int], ends: set[int]) -> list[int]:
    """`ids` through the first end-of-turn token; what a template puts after it is not part of the answer."""
    return next((ids[: i + 1] for i, t in enumerate(ids) if t in ends), ids)


def text(tokenizer, ids: list[int], ends: set[int]) -> str:
    """The answer that a person reads."""
    return tokenizer.decode([t for t in ids if t not in ends], skip_special_tokens=True).strip()
