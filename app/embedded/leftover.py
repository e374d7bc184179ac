"""What an earlier PostgreSQL left in its data folder when it was not stopped in order."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import psutil

PID_FILE = "postmaster.pid"
ORDERLY = 2.5
AT_ONCE = 1.0


def clear_leftovers(data: Path) -> None:
    """Stop a PostgreSQL that still runs from `data`, and remove the pid file of one that does not.

    PostgreSQL itself refuses to start when the number in its pid file belongs to any living process, which after a
    SIGKILL and a while may be anybody's.
    """
    if not (data / PID_FILE).exists():
        return
    running = _running_from(data)
    main = _number_in(data / PID_FILE)
    for process in running:
        if process.pid == main:
            _stop_in_order(process)
    # What outlives its postmaster is a backend that has not noticed yet; the write-ahead log makes this kill safe.
    rest = [process for process in running if process.is_running()]
    _, rest = psutil.wait_procs(rest, timeout=AT_ONCE)
    for process in rest:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(rest, timeout=AT_ONCE)
    (data / PID_FILE).unlink(missing_ok=True)


def _running_from(data: Path) -> list[psutil.Process]:
    """PostgreSQL processes working in `data`; each of them keeps its data folder as its working folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.name().startswith("postgres") and Path(process.cwd()) == data.resolve():
                found.append(process)
    return found


def _stop_in_order(process: psutil.Process) -> None:
    for number, patience in ((signal.SIGINT, ORDERLY), (signal.SIGQUIT, AT_ONCE)):
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
            process.wait(patience)
        if not process.is_running():
            return


def _number_in(pid_file: Path) -> int:
    try:
        return int(pid_file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
