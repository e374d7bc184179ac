"""Claims about workers that cannot be started, made with a small program in their place."""

import asyncio
import socket
import sys
from typing import Any

import pytest

from app.launcher import LauncherError
from app.launcher.crew import FAILED_STARTS, Crew
from app.launcher.fork_server import ForkServer
from app.launcher.worker import Worker


async def _answer(message: dict[str, Any]) -> dict[str, Any]:
    return message


async def test_workers_that_never_start_end_the_launcher() -> None:
    """Workers that fail before any was ready are an error after a few tries, never an endless loop."""
    asked, lines = [], list[str]()
    program = (sys.executable, "-I", "-S", "-c", "raise SystemExit(7)")
    with socket.socket() as listener, socket.socket() as lending:
        forks = ForkServer(program, listener, lending.fileno(), {}, _answer, lines.append)

        async def broken(number: int) -> Worker:
            asked.append(number)
            return await forks.fork(number)

        crew = Crew(1, broken, lines.append)
        crew.start()
        with pytest.raises(LauncherError, match="exit code 7"):
            await asyncio.wait_for(crew.until_ready(), 20)
        await crew.stop(1, asyncio.Event())
        await forks.stop()
    assert len(asked) == FAILED_STARTS
