"""How surprised a model is by given texts: negative log-likelihoods in nats, what texts share is read once.

Options of one question share its prompt, two-shot prompts share their examples: their keys and values are computed
once a batch and the tails read on top of them.
"""

from dataclasses import dataclass

from tqdm.auto import tqdm

from train_space.processes import shared


@dataclass(frozen=True)
class Passage:
    """`target` token ids after `prompt` token ids, of which the first `shared` stand in other passages too."""

    prompt: list[int]
    target: list[int]
    shared: int

    def parts(self) -> tuple[tuple[int, ...], list[int]]:
        """(prefix, tail): at least one token of the prompt is in the tail, so that the tail predicts all of target."""
        cut = min(self.shared, len(self.prompt) - 1)
        return tuple(self.prompt[:cut]), self.prompt[cut:] + self.target


def nll(model, pad: int, passages: list[Passage], batch_size: int, description: str) -> list[float]:
    """Sum over each target's tokens of -log p given all before them; in float32 whatever the weights are.

    `model`: causal, PEFT or not. Passages share at least a token; `batch_size` tails are read at a time. Processes
    share the passages, neighbours together.
    """
    return shared(lambda mine: _nll(model, pad, [passages[i] for i in mine], batch_size, description), len(passages))


def _nll(model, pad, passages, batch_size, description) -> list[float]:
    import torch

    sums = [0.0] * len(passages)
    parts = [passage.parts() for passage in passages]
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    decoder, head = causal.get_decoder(), causal.get_output_embeddings()

    def padded(rows):
        width = max(map(len, rows))
        ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], device=model.device)
        seen = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device)
        return ids, seen

    for batch in tqdm(_batches(parts, batch_size), desc=description, unit="batch", disable=not parts):
        prefixes = list(dict.fromkeys(parts[i][0] for i in batch))
        owner = torch.tensor([prefixes.index(parts[i][0]) for i in batch], device=model.device)
        with torch.inference_mode():
            ids, seen = padded(prefixes)
            cache = decoder(input_ids=ids, attention_mask=seen, use_cache=True).past_key_values
            cache.batch_select_indices(owner)
            tails, own = padded([parts[i][1] for i in batch])
            starts = seen.sum(1)[owner]  # a hole is left where a prefix was padded: positions do not count it
            hidden = decoder(
                input_ids=tails, attention_mask=torch.cat([seen[owner], own], 1), past_key_values=cache, use_cache=True,
                position_ids=starts[:, None] + torch.arange(tails.shape[1], device=model.device),
            )[0]
            for row, i in enumerate(batch):
                # The vocabulary's projection is a fifth of the work: only for the positions that predict the target.
                end = len(parts[i][1])
                start = end - len(passages[i].target)
                logits = head(hidden[row, start - 1: end - 1]).float()
                sums[i] = torch.nn.functional.cross_entropy(logits, tails[row, start:end], reduction="sum").item()
    return sums


def _batches(parts, size: int) -> list[list[int]]:
    """Indices in batches: one prefix's tails together, of like length, longest first.

    So there is the least padding, and memory runs out at once or never.
    """
    longest = {}
    for prefix, tail in parts:
        longest[prefix] = max(longest.get(prefix, 0), len(tail))
    order = sorted(range(len(parts)), reverse=True,
                   key=lambda i: (longest[parts[i][0]], parts[i][0], len(parts[i][1])))
    return [order[i: i + size] for i in range(0, len(order), size)]
