"""What a run shows and keeps of its loss."""

import json
import statistics
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import ProgressCallback, TrainerCallback


class LossOnBar(ProgressCallback):
    """The Trainer's progress bar with the latest loss at its end, instead of a printed line for every step."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        if self.training_bar is not None:
            shown = {name: f"{float(logs[name]):.3f}" for name in ("loss", "eval_loss", "probe_rougeL") if name in logs}
            if shown:
                self.training_bar.set_postfix(shown)

    def close(self):
        """Ends the bars of a run that failed, so that what is said next starts on a line of its own."""
        for bar in filter(None, (self.prediction_bar, self.training_bar)):
            bar.close()


class Clock(TrainerCallback):
    """Where the time of training goes: seconds of steps, validations and checkpoints, and when each step began."""

    def __init__(self):
        self.begun, self.spent, self._mark = [], {"steps": 0.0, "validations": 0.0, "checkpoints": 0.0}, 0.0
        self.stopped_s = 0.0

    def on_train_begin(self, args, state, control, **kwargs):
        """Also starts the count of the GPU's peak memory, which loading and quantising the base can exceed."""
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._mark, self._energy_j = time.perf_counter(), _energy_j()

    def on_step_begin(self, args, state, control, **kwargs):
        self.begun.append(time.perf_counter())

    def on_step_end(self, args, state, control, **kwargs):
        if control.should_evaluate or control.should_save:
            synchronize()  # what the steps still compute is not the validation's
            self._take("steps")

    def on_evaluate(self, args, state, control, **kwargs):
        self._take("validations")

    def on_save(self, args, state, control, **kwargs):
        self._take("checkpoints")

    def on_train_end(self, args, state, control, **kwargs):
        self._take("steps")

    @contextmanager
    def stopped(self):
        """What goes on inside is no part of training: `stopped_s` counts it, and nothing else does."""
        synchronize()
        start = time.perf_counter()
        yield
        synchronize()
        taken = time.perf_counter() - start
        self.stopped_s, self._mark = self.stopped_s + taken, self._mark + taken

    def _take(self, part):
        now = time.perf_counter()
        self.spent[part], self._mark = self.spent[part] + now - self._mark, now

    @property
    def energy_wh(self) -> float | None:
        """What the GPU drew from the begin of training until now, where it counts that."""
        now = _energy_j()
        return round((now - self._energy_j) / 3600, 3) if now is not None and self._energy_j is not None else None

    @property
    def seconds(self) -> dict[str, float]:
        return {part: round(value, 2) for part, value in self.spent.items()}

    @property
    def median_step_s(self) -> float | None:
        """Leaves out validations, checkpoints and the first steps."""
        spans = [after - before for before, after in zip(self.begun, self.begun[1:], strict=False)]
        return statistics.median(spans) if spans else None


def _energy_j() -> float | None:
    """The count of the process's GPU since its driver was loaded; None without a GPU, a driver library or a counter."""
    if not torch.cuda.is_available():
        return None
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        uuid = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")) / 1000
    except pynvml.NVMLError:
        return None


def synchronize() -> None:
    """Waits until the GPU, where there is one, has computed what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class LossLog(TrainerCallback):
    """Writes what is logged at each step to `path` as JSON Lines; after a resume it goes on from the checkpoint."""

    def __init__(self, path: Path):
        self.path = path

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            self.path.write_text("".join(map(_line, state.log_history)), "utf-8")

    def on_log(self, args, state, control, logs=None, **kwargs):
        if state.is_world_process_zero and "train_runtime" not in logs:  # the closing summary is no step
            with self.path.open("a", encoding="utf-8") as log:
                log.write(_line(state.log_history[-1]))


def _line(entry: dict) -> str:
    """Run times are left out, and TRL's token count, which restarts on resuming: a repeated run's log is the same."""
    kept = {k: v for k, v in entry.items() if not k.endswith(("_runtime", "_per_second", "num_tokens"))}
    return json.dumps(kept, sort_keys=True) + "\n"
