"""One run at a time on this machine, as a process of its own: started, watched, ended, forgotten.

What a visitor uploaded goes when the run is published or discarded, when nobody came back to a run that has ended for
KEPT_S, and with this server.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from kira.errors import UserError
from train_space.files import read_json
from train_space.recipe import Recipe
from train_space.ui_visitor import Visitor

ROOT = Path(__file__).resolve().parent.parent
WORK = Path(tempfile.gettempdir()) / f"kira-training-{os.getpid()}"
KEPT_S = 1800
LONGEST_S = 4 * 3600
STAGES = ("prepare", "train", "evaluate")
ESTIMATE, TRAIN, PUBLISH = "estimate", "train", "publish"
COMMANDS = {ESTIMATE: [["prepare"], ["train", "--dry-run"]], TRAIN: [["run", "--unpublished"]], PUBLISH: [["publish"]]}
# A visitor's processes get their own token; the Space's secrets stay with it.
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OAUTH_CLIENT_SECRET", "KIRA_INFERENCE_TOKEN")


@dataclass
class Run:
    """A visitor's run and what it is doing."""

    owner: str
    folder: Path
    recipe: Recipe | None = None
    doing: str = ""
    process: subprocess.Popen | None = None
    ended: str = ""  # done, failed, cancelled; empty while it runs or before
    touched: float = field(default_factory=time.monotonic)
    uploads: set[Path] = field(default_factory=set)  # Gradio's copies
    measured: bool = False
    published: dict = field(default_factory=dict)
    attempt: object = None

    @property
    def run_dir(self) -> Path:
        return self.folder / "work" / self.recipe.name

    @property
    def is_running(self) -> bool:
        return bool(self.doing) and not self.ended

    def output(self) -> str:
        """What the process said so far."""
        path = self.folder / "output.txt"
        return path.read_text("utf-8", errors="replace") if path.is_file() else ""

    def stage(self) -> str:
        """The last stage that it began."""
        begun = [line.split()[0] for line in self.output().splitlines() if line.split()[:1]]
        return next((word for word in reversed(begun) if word in STAGES), STAGES[0])

    def complaint(self) -> str:
        """The one sentence that it ended with, or one that fits how it ended."""
        said = [line for line in self.output().splitlines() if line.startswith("train_space: ")]
        if said:
            return said[-1].removeprefix("train_space: ").replace(str(self.folder), "the run's folder")
        if self.process is not None and self.process.returncode == -signal.SIGKILL:
            return "The machine ended the run, likely for want of memory; try fewer rows a batch or a smaller base."
        return "The run ended unexpectedly; try it once more, or with another base or recipe."


class Machine:
    """The only place that starts, ends and forgets runs."""

    def __init__(self):
        self.lock, self._run = threading.RLock(), None
        for left in WORK.parent.glob("kira-training-*"):  # by servers that were killed
            if not psutil.pid_exists(int(left.name.rsplit("-", 1)[1])):
                shutil.rmtree(left, ignore_errors=True)
        WORK.mkdir(mode=0o700, exist_ok=True)
        threading.Thread(target=self._sweep, daemon=True).start()

    def run_of(self, who: Visitor) -> Run | None:
        """This visitor's run, also after a reload of the page; nobody else's."""
        with self.lock:
            run = self._run if self._run and self._run.owner == who.name else None
            if run:
                run.touched = time.monotonic()
            return run

    def claim(self, who: Visitor) -> Run:
        """This visitor's run, not running, made when there is none. Raises UserError while it or another's goes on."""
        with self.lock:
            run = self._run
            if run and run.owner != who.name:
                if run.is_running or time.monotonic() - run.touched < KEPT_S:
                    raise UserError("Somebody else is training on this machine, which does one run at a time; please "
                                    "come back later or duplicate this Space.")
                self._forget()
                run = None
            if run and run.is_running:
                raise UserError("Your run is going on; cancel it or wait until it has ended.")
            if run is None:
                run = self._run = Run(who.name, Path(tempfile.mkdtemp(prefix="run-", dir=WORK)))
            run.touched = time.monotonic()
            return run

    def start(self, who: Visitor, doing: str) -> Run:
        """Begins one of COMMANDS on the claimed run in the background. Raises UserError."""
        with self.lock:
            run = self.claim(who)
            if doing == PUBLISH and not run.measured:
                raise UserError("There is nothing measured to publish; train first.")
            run.doing, run.ended, run.process, run.attempt = doing, "", None, object()
            run.measured = doing == PUBLISH
            (run.folder / "output.txt").write_text("", "utf-8")
            threading.Thread(target=self._work, args=(run, who, run.attempt), daemon=True).start()
            return run

    def cancel(self, who: Visitor) -> None:
        """Ends what this visitor's run is doing; it can go on from the last complete checkpoint."""
        with self.lock:
            run = self.run_of(who)
            if run and run.is_running:
                run.ended = "cancelled"
                self._end(run)

    def discard(self, who: Visitor) -> None:
        """Ends this visitor's run and removes everything of it."""
        with self.lock:
            if self.run_of(who):
                self._forget()

    def close(self) -> None:
        """With the server everything of its visitors goes."""
        with self.lock:
            if self._run:
                self._forget()
        shutil.rmtree(WORK, ignore_errors=True)

    def _work(self, run: Run, who: Visitor, attempt: object) -> None:
        kept = {k: v for k, v in os.environ.items() if k not in SECRETS}
        environment = kept | {"HF_TOKEN": who.token, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1",
                              "HF_DATASETS_CACHE": str(run.folder / "datasets")}
        code, ends_at = 0, time.monotonic() + LONGEST_S
        for command in COMMANDS[run.doing]:
            with self.lock:
                if run.ended or run.attempt is not attempt:
                    return
                arguments = [sys.executable, "-m", "train_space", *command, "--recipe", str(run.folder / "recipe.yaml"),
                             "--work", str(run.folder / "work")]
                with (run.folder / "output.txt").open("a") as out:
                    run.process = subprocess.Popen(arguments, cwd=run.folder, env=environment, stdout=out, stderr=out,
                                                   stdin=subprocess.DEVNULL, start_new_session=True)
            try:
                code = run.process.wait(max(1.0, ends_at - time.monotonic()))
            except subprocess.TimeoutExpired:
                with (run.folder / "output.txt").open("a") as out:
                    out.write(f"\ntrain_space: A run here may take {LONGEST_S // 3600} hours; this one was ended.\n")
                self._end(run)
                code = 1
            if code:
                break
        with self.lock:
            if run.ended or run.attempt is not attempt:  # cancelled meanwhile, perhaps begun anew
                return
            run.ended, run.touched = "failed" if code else "done", time.monotonic()
            run.measured |= run.doing == TRAIN and not code
            if run.doing == PUBLISH and not code:
                run.measured = False
                run.published = read_json(run.run_dir / "published.json")
                self._remove_texts(run)

    def _sweep(self) -> None:
        while True:
            time.sleep(60)
            with self.lock:
                run = self._run
                if run and not run.is_running and time.monotonic() - run.touched >= KEPT_S:
                    self._forget()

    @staticmethod
    def _remove_texts(run: Run) -> None:
        """All but the figures that the page still shows."""
        for path in (run.folder / "rows.jsonl", *run.uploads, run.folder / "datasets", run.run_dir / "data",
                     run.run_dir / "publication"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for path in (run.run_dir / "evaluation").glob("*answers.jsonl"):
            path.unlink()
        shutil.rmtree(run.run_dir / "train" / "adapter", ignore_errors=True)

    @staticmethod
    def _end(run: Run) -> None:
        """The process and all that it started; checkpoints are marked whole only when they are."""
        if run.process is None or run.process.poll() is not None:
            return
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(run.process.pid, sign)
            with suppress(subprocess.TimeoutExpired):
                run.process.wait(5)
                return

    def _forget(self) -> None:
        run, self._run = self._run, None
        if run.is_running:
            run.ended = "cancelled"
        self._end(run)
        for path in run.uploads:
            path.unlink(missing_ok=True)
        shutil.rmtree(run.folder, ignore_errors=True)
