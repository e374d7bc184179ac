"""The runs of a data folder, read from what they wrote about themselves."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from loadgen.errors import HistoryError
from loadgen.results import FINISHED, RESULT_FILE, RESULT_VERSION, RUN_ID, STATUS_FILE, Result, RunStatus

SILENT_AFTER = 30.0
"""Seconds without a new status after which a run that has not ended is taken for dead; it writes one every second."""

_MARGIN = 20
"""Folders looked into beyond those asked for, as some may be foreign; a long history is not read through each time."""

_decoder = msgspec.json.Decoder(RunStatus)


class _Versioned(msgspec.Struct):
    version: int


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


def find_result(data_dir: Path, which: str | None = None) -> Path:
    """Return the result.json that is meant: by a run's id, its folder or the file itself; the latest run's if none is named.

    Raises HistoryError when there is none.
    """
    if which is None:
        for folder in _folders(data_dir / "runs"):
            if (folder / RESULT_FILE).is_file():
                return folder / RESULT_FILE
        raise HistoryError(f"{data_dir / 'runs'} holds no run with a result")
    named = [data_dir / "runs" / which / RESULT_FILE] if RUN_ID.fullmatch(which) else []
    for path in (*named, Path(which) / RESULT_FILE, Path(which)):
        if path.is_file():
            return path
    raise HistoryError(
        f"there is no result of {which!r}: not a run in {data_dir / 'runs'}, and not a folder or file of one"
    )


def read_result(path: Path) -> Result:
    """Return a result; raise HistoryError, in one line, when the file cannot be read, is none, or has another version."""
    try:
        content = path.read_bytes()
        version = msgspec.json.decode(content, type=_Versioned).version
        if version != RESULT_VERSION:
            raise HistoryError(f"{path} has version {version}; this program reads version {RESULT_VERSION}")
        return msgspec.json.decode(content, type=Result)
    except OSError as error:
        raise HistoryError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryError(f"{path} is not the result of a run: {error}") from error


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
