"""Writes that end even when the caller has gone away."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import StillRunning
from app.services.completion import Completion


async def test_work_goes_on_when_its_caller_is_cancelled() -> None:
    """Cancelling the handler cancels the waiting and nothing else, and draining waits for the work."""
    completion, go, done = Completion(deadline=5), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.set()

    caller = asyncio.create_task(completion.run(work()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    asyncio.get_running_loop().call_later(0.01, go.set)
    await completion.drain(timeout=5)
    assert done.is_set()


async def test_results_and_errors_reach_the_caller() -> None:
    """It adds nothing to what the work says."""
    completion = Completion(deadline=5)

    async def fails() -> None:
        raise KeyError("x")

    assert await completion.run(asyncio.sleep(0, result=3)) == 3
    with pytest.raises(KeyError):
        await completion.run(fails())


async def test_work_past_its_deadline_is_cancelled_and_said_to_be_unknown() -> None:
    """Nothing runs for ever on behalf of nobody."""
    cancelled = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(StillRunning):
        await Completion(deadline=0.01).run(endless())
    assert cancelled.is_set()
