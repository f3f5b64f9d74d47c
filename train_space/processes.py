"""The processes of `accelerate launch` (or `torchrun`): which is the main one, how work is shared.

One process needs none of this: the launcher's variables are not set, and nothing is imported.
"""

import os
from collections.abc import Callable


def count() -> int:
    """Processes of this run."""
    return int(os.environ.get("WORLD_SIZE", 1))


def is_main() -> bool:
    """Whether this one writes and prints."""
    return int(os.environ.get("RANK", 0)) == 0


def main_alone(work: Callable):
    """What `work()` returns in the main process, which does it while the others wait; None in those.

    When it raises, the main process ends, and the launcher ends the others.
    """
    made = work() if is_main() else None
    if count() > 1:
        _state().wait_for_everyone()
    return made


def shared(work: Callable[[list[int]], list], items: int) -> list:
    """`work(indices)` returns one result an index; the processes take a part of 0 .. items - 1 each and all get all."""
    if count() == 1:
        return work(list(range(items)))
    from accelerate.utils import gather_object

    state = _state()
    start, end = (items * (state.process_index + i) // state.num_processes for i in (0, 1))
    return gather_object(work(list(range(start, end))) if end > start else [])


def device() -> str:
    """Where this process computes: its own GPU, else the CPU."""
    import torch

    if count() > 1:
        return str(_state().device)
    return "cuda" if torch.cuda.is_available() else "cpu"


def _state():
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())
