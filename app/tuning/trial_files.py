"""Trials in the data folder: each a file, replaced as it goes on, and a lock that says whether the one going on has somebody who runs it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

import msgspec

from console.tuning import Trial
from loadgen.files import write_whole
from loadgen.results import RUN_ID

if TYPE_CHECKING:
    from pathlib import Path

MOST_KEPT = 50

_ENDED = "The worker that ran it has ended. "
_LEFT = "What it had changed is still in force; take it back below."
_UNTOUCHED = "It had changed nothing yet."

_decoder = msgspec.json.Decoder(Trial)


class TrialFiles:
    """The trials of a data folder, read by every worker, written by the one that holds the lock."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "trials"
        self._lock: int | None = None

    def take(self) -> bool:
        """Become the one who runs a trial; False when there is one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def let_go(self) -> None:
        """Be it no more."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def write(self, trial: Trial) -> None:
        """Replace what is known of a trial; raises FolderError."""
        write_whole(self._folder / f"{trial.trial}.json", msgspec.json.encode(trial))

    def prune(self) -> None:
        """Delete all but the newest."""
        for path in self._paths()[MOST_KEPT:]:
            path.unlink(missing_ok=True)

    def read(self, most: int) -> list[Trial]:
        """Return the newest first. One that goes on, although nobody runs it, has failed."""
        found = []
        for path in self._paths()[:most]:
            with contextlib.suppress(OSError, msgspec.DecodeError):
                found.append(_decoder.decode(path.read_bytes()))
        abandoned = any(trial.active for trial in found) and not self._is_run()
        return [_failed(trial) if trial.active and abandoned else trial for trial in found]

    def ask_to_stop(self, trial: str) -> bool:
        """Leave a word for whoever runs a trial; False when it does not go on."""
        if not RUN_ID.fullmatch(trial) or not any(each.active and each.trial == trial for each in self.read(MOST_KEPT)):
            return False
        (self._folder / f"{trial}.stop").touch()
        return True

    def asked_to_stop(self, trial: str) -> bool:
        """Say whether somebody asked for that, and forget it."""
        path = self._folder / f"{trial}.stop"
        asked = path.exists()
        path.unlink(missing_ok=True)
        return asked

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"), reverse=True)

    def _is_run(self) -> bool:
        if self._lock is not None:
            return True
        try:
            lock = os.open(self._folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False


def _failed(trial: Trial) -> Trial:
    words = _ENDED + (_UNTOUCHED if trial.state == "before" else _LEFT)
    return msgspec.structs.replace(trial, state="failed", words=words)
