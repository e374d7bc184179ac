"""The runs of a data folder, read from what they wrote about themselves."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from loadgen.results import FINISHED, RUN_ID, STATUS_FILE, RunStatus

SILENT_AFTER = 30.0
"""Seconds without a new status after which a run that has not ended is taken for dead; it writes one every second."""

_decoder = msgspec.json.Decoder(RunStatus)


def read_runs(data_dir: Path, most: int = 10, *, now: float | None = None) -> tuple[RunStatus, ...]:
    """Return the newest runs first, at most ``most``; ``now`` is Unix seconds.

    Folders that hold no readable status are ignored: they are foreign, or torn. A run that has not ended although its process
    has is shown as failed.
    """
    now = time.time() if now is None else now
    found = (_read(folder) for folder in _folders(data_dir / "runs"))
    newest = sorted(
        (status for status in found if status), key=lambda status: (status.started, status.run), reverse=True
    )
    return tuple(_as_of(status, now) for status in newest[:most])


def _folders(runs: Path) -> list[Path]:
    try:
        return [folder for folder in runs.iterdir() if RUN_ID.fullmatch(folder.name)]
    except OSError:
        return []


def _read(folder: Path) -> RunStatus | None:
    try:
        status = _decoder.decode((folder / STATUS_FILE).read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return status if status.run == folder.name else None


def _as_of(status: RunStatus, now: float) -> RunStatus:
    if status.state in FINISHED:
        return status
    if not _alive(status.pid):
        return msgspec.structs.replace(status, state="failed", message="the load generator ended without a result")
    if now - status.updated > SILENT_AFTER:
        return msgspec.structs.replace(status, state="failed", message="the load generator fell silent")
    return status


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # It exists and belongs to someone else.
    return True
