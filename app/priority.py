"""Threads that step back behind whatever else wants the processor.

A process that has lowered its priority may not raise it again without privilege. A thread may be lowered alone, on Linux,
and its work is left to it: the process is as it was when the thread ends.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

QUIET = 5
"""Behind what serves, and ahead of hashing: a quarter of a core that somebody else wants whole, so that it ends in seconds."""


def step_back(nice: int) -> None:
    """Lower the calling thread's priority, from 0 (not at all) to 19, where the system has priorities of threads (Linux)."""
    # On Linux the id of a thread is one of a process to setpriority(2); elsewhere it would be some other process's.
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)


def quietly(work: Callable[[], Result]) -> Result:
    """Do long work at a lower priority, `QUIET`, while the caller waits, and return what it returns."""
    with ThreadPoolExecutor(1, thread_name_prefix="quiet", initializer=step_back, initargs=(QUIET,)) as executor:
        return executor.submit(work).result()
