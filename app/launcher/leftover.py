"""Workers, and the fork server they come from, that a killed launcher left behind and that did not end by themselves."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psutil

from app.launcher.fork_server import COMMAND

if TYPE_CHECKING:
    from pathlib import Path

MARK = "GATEWATCH_DATA_DIR"


def end_leftover_workers(folder: Path, patience: float) -> int:
    """Wait `patience` seconds for old workers on `folder` to end, then kill them; return how many were killed.

    Call it with the lock held and before any worker is started: whoever works on this folder then is left over.
    """
    _, left = psutil.wait_procs(_workers_on(folder), timeout=patience)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=1)
    return len(left)


def _workers_on(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if COMMAND in process.cmdline() and process.environ().get(MARK) == str(folder):
                found.append(process)
    return found
