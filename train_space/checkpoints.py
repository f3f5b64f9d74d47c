"""Checkpoints that are known to be whole: the Trainer writes them file by file and takes any for good."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from train_space.files import read_json, sha256, write_json

MARK = "complete.json"


class MarkComplete(TrainerCallback):
    """Writes the digests of a checkpoint's files into it, as the last thing, once every process has saved its part.

    Training goes on meanwhile; a checkpoint that it did not get to mark is not whole.
    """

    def __init__(self):
        self._pool, self._marked = ThreadPoolExecutor(1), None

    def on_save(self, args, state, control, **kwargs):
        from accelerate import PartialState

        PartialState().wait_for_everyone()
        self._wait()
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
            self._marked = self._pool.submit(_mark, folder)

    def on_evaluate(self, args, state, control, **kwargs):
        self._wait()  # the save that follows may remove what is being read

    def on_train_end(self, args, state, control, **kwargs):
        self._wait()
        self._pool.shutdown()

    def _wait(self):
        if self._marked:
            self._marked.result()


def _mark(folder: Path) -> None:
    write_json(folder / MARK, {p.name: sha256(p) for p in sorted(folder.iterdir()) if p.is_file()})


def is_complete(folder: Path) -> bool:
    """Every file of the checkpoint is as it was when the checkpoint was finished."""
    try:
        digests = read_json(folder / MARK)
    except (OSError, ValueError):
        return False
    return all((folder / name).is_file() and sha256(folder / name) == digest for name, digest in digests.items())


def last_complete_checkpoint(output_dir: Path) -> Path | None:
    """The newest whole checkpoint; newer broken ones are removed, as resuming beside them would find them first.

    A missing optimizer or random state does not stop the Trainer from resuming: it silently trains something else.
    """
    found = [p for p in output_dir.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if p.name.rsplit("-", 1)[1].isdigit()]
    for folder in sorted(found, key=lambda p: int(p.name.rsplit("-", 1)[1]), reverse=True):
        if is_complete(folder):
            return folder
        shutil.rmtree(folder)
    return None
