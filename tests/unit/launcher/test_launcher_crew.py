"""Claims about workers that cannot be started, made with a small program in their place."""

import asyncio
import socket
import sys
from typing import Any

import pytest

from app.launcher import LauncherError
from app.launcher.crew import FAILED_STARTS, Crew
from app.launcher.worker import Worker, spawn


async def _answer(message: dict[str, Any]) -> dict[str, Any]:
    return message


async def test_workers_that_never_start_end_the_launcher() -> None:
    """Workers that fail before any was ready are an error after a few tries, never an endless loop."""
    spawned = []

    async def broken(number: int) -> Worker:
        program = (sys.executable, "-I", "-S", "-c", "raise SystemExit(7)")
        with socket.socket() as listener, socket.socket() as lending:
            spawned.append(number)
            return await spawn(number, program, listener, lending.fileno(), {}, _answer)

    lines: list[str] = []
    crew = Crew(1, broken, lines.append)
    crew.start()
    with pytest.raises(LauncherError, match="exit code 7"):
        await asyncio.wait_for(crew.until_ready(), 20)
    await crew.stop(1, asyncio.Event())
    assert len(spawned) == FAILED_STARTS
