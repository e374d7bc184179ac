"""Obeying a Ctrl-C that nobody else did."""

from __future__ import annotations

import asyncio


def end_if_cancelled() -> None:
    """Raise CancelledError when this task was cancelled and goes on: a driver may take a cancellation for its own."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
