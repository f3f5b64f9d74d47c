"""Votes in a dataset on the Hub, off unless KIRA_VOTES_REPO names one; texts only with the voter's consent."""

import json
import logging
import signal
import sys
import tempfile
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path

from kira import votes
from kira.service import called, service
from kira.settings import settings

EVERY_MINUTES = 60  # a commit's own time must tell no more of a vote than its row does


class Keeper:
    """Rows in a file of this process's own, which huggingface_hub's CommitScheduler commits."""

    def __init__(self, repo: str):
        self._repo, self._scheduler, self._opening = repo, None, threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="kira-votes-"))
        self._file = self._folder / f"{uuid.uuid4().hex}.jsonl"

    def keep(self, comparison, with_text: bool) -> bool:
        """One more vote; False if the Hub is out of reach, and then it is not kept."""
        line = json.dumps(row(comparison, with_text), ensure_ascii=False) + "\n"
        try:
            scheduler = self._opened()
            with scheduler.lock, self._file.open("a", encoding="utf-8") as file:
                file.write(line)
        except Exception as error:  # a vote is no reason to fail; the message may name the token's owner
            logging.getLogger("kira").warning("a vote could not be kept (%s)", type(error).__name__)
            return False
        return True

    def _opened(self):
        """The scheduler, with a private dataset made at the first vote."""
        from huggingface_hub import CommitScheduler

        with self._opening:
            if not self._scheduler:
                self._scheduler = CommitScheduler(
                    repo_id=self._repo, repo_type="dataset", private=True, folder_path=self._folder,
                    path_in_repo="data", every=EVERY_MINUTES)
            return self._scheduler


def row(comparison, with_text: bool) -> dict:
    """A vote as it is kept."""
    names = ("base", "tuned")
    models = service.compared(comparison.runs[:1])
    kept = {"models": dict(zip(names, map(called, models), strict=True)),
            "vote": votes.preferred(comparison.choice, comparison.order),
            "order": [names[model] for model in comparison.order[:2]],
            "hour": datetime.now(UTC).strftime("%Y-%m-%dT%H:00Z")}
    if with_text:
        kept |= {"question": comparison.question, "answers": dict(zip(names, comparison.step.texts, strict=False))}
    return kept


def commit_before_the_end() -> None:
    """Where votes are kept, a Space that is told to end commits them first: the scheduler does so at an orderly exit.
    """
    if keeper:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


keeper = Keeper(settings().votes_repo) if settings().votes_repo else None
