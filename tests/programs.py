"""A program that serves HTTP, run in a process of its own until a test is done with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from app.embedded.port import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parents[1]
PATIENCE = 120.0
"""Seconds in which something that does not depend on time must have happened, however busy the machine is."""


@contextlib.asynccontextmanager
async def program(file: Path, *arguments: str, **environment: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run a program that serves on the port in its environment and its first argument until the block ends."""
    port = str(free_port())
    usual = {**os.environ, "PYTHONPATH": str(ROOT), "PORT": port, "SANIC_IGNORE_PRODUCTION_WARNING": "1"}
    command = [sys.executable, str(file), port, *arguments]
    process = await asyncio.create_subprocess_exec(*command, env={**usual, **environment}, start_new_session=True)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            await _answering(client, process)
            yield client
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):  # Sanic's manager may miss a signal that comes while it starts
            async with asyncio.timeout(5):
                await process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _answering(client: httpx.AsyncClient, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            assert process.returncode is None, "the program ended"
            with contextlib.suppress(httpx.TransportError):
                await client.get("/")
                return
            await asyncio.sleep(0.05)
