"""The runs of a data folder, read from what they wrote about themselves."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import msgspec

from loadgen.results import FINISHED, RUN_ID, STATUS_FILE, RunStatus

if TYPE_CHECKING:
    from pathlib import Path

SILENT_AFTER = 30.0
"""Seconds without a new status after which a run that has not ended is taken for dead; it writes one every second."""

_MARGIN = 20
"""Folders looked into beyond those asked for, as some may be foreign; a long history is not read through each time."""

_decoder = msgspec.json.Decoder(RunStatus)


def read_runs(data_dir: Path, most: int = 10, *, now: float | None = None) -> tuple[RunStatus, ...]:
    """Return the newest runs first, at most ``most``; ``now`` is Unix seconds.

    Folders that hold no readable status are ignored: they are foreign, or torn. A run that has not ended although its process
    has is shown as failed.
    """
    now = time.time() if now is None else now
    found = [_read(folder) for folder in _folders(data_dir / "runs")[: _MARGIN + 2 * most]]
    newest = sorted(
        (status for status in found if status), key=lambda status: (status.started, status.run), reverse=True
    )
    return tuple(_as_of(status, now) for status in newest[:most])


def _folders(runs: Path) -> list[Path]:
    """Return the folders that may be runs, the ones written to last first."""
    try:
        with os.scandir(runs) as entries:
            written = [(entry.stat().st_mtime, entry.name) for entry in entries if RUN_ID.fullmatch(entry.name)]
    except OSError:
        return []
    return [runs / name for _, name in sorted(written, reverse=True)]


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
