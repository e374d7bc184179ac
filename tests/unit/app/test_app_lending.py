"""Threads that siblings lend each other, and results that are told together."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from app.errors import HashingBusy
from app.security.hashing import HashThreads
from app.security.lending import Lending
from app.security.threads import MOST_HELD
from observability.record.meters import HashMeter

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60


@pytest.fixture
def memory() -> Iterator[int]:
    """Make what two workers share."""
    fd = Lending.make(2)
    yield fd
    os.close(fd)


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """Let threads that wait for it end."""
    event = threading.Event()
    yield event
    event.set()


def _worker(memory: int, number: int, *, queue: int = 9) -> HashThreads:
    return HashThreads(threads=1, queue=queue, meter=HashMeter(1, queue), lending=Lending(memory, number))


def test_idle_is_what_siblings_leave() -> None:
    """Each sibling's threads less those that work, and never less than none; its own are not counted."""
    fd = Lending.make(3)
    one, two, three = (Lending(fd, number) for number in (1, 2, 3))
    one.offer(8)
    one.busy(1)
    assert one.idle() == 0
    two.offer(2)
    three.offer(2)
    assert one.idle() == 4
    two.busy(3)
    assert one.idle() == 1
    three.busy(2)
    assert one.idle() == 0
    two.busy(0)
    assert one.idle() == 2
    Lending(fd, 2)  # the one that replaces it has no threads yet
    assert one.idle() == 0
    os.close(fd)


async def test_what_a_sibling_leaves_idle_is_used(memory: int) -> None:
    """Two passwords of one worker are hashed at once, in its own thread and in its sibling's place."""
    together = threading.Barrier(2)
    with closing(_worker(memory, 1)) as one, closing(_worker(memory, 2)):
        await asyncio.gather(one.run(together.wait, PATIENCE), one.run(together.wait, PATIENCE))


async def test_nothing_is_borrowed_of_a_sibling_that_works(memory: int, go: threading.Event) -> None:
    """While the sibling hashes, one thread is all there is; it comes back when the sibling is done."""
    with closing(_worker(memory, 1, queue=1)) as one, closing(_worker(memory, 2)) as two:
        await one.run(int)
        theirs = asyncio.create_task(two.run(go.wait, PATIENCE))
        await asyncio.sleep(0)
        held = threading.Event()
        mine = [asyncio.create_task(one.run(held.wait, PATIENCE)) for _ in range(2)]
        await asyncio.sleep(0)
        assert not one.idle
        with pytest.raises(HashingBusy):
            await one.run(int)
        go.set()
        await theirs
        held.set()
        await asyncio.gather(*mine)
        assert one.idle


async def test_a_sibling_keeps_its_own_thread(memory: int, go: threading.Event) -> None:
    """What was lent is not missed: who lends hashes its own password at once."""
    with closing(_worker(memory, 1)) as one, closing(_worker(memory, 2)) as two:
        mine = [asyncio.create_task(one.run(go.wait, PATIENCE)) for _ in range(2)]
        await asyncio.sleep(0)
        await two.run(int)
        go.set()
        await asyncio.gather(*mine)


async def test_results_are_told_together_while_others_wait(go: threading.Event) -> None:
    """As many as may be held, and no more, call the loop once; nobody is held for the very last one."""
    calls: list[object] = []
    loop = asyncio.get_running_loop()
    call = loop.call_soon_threadsafe

    def counted(*told: Any) -> Any:
        calls.append(told)
        return call(*told)

    with (
        closing(HashThreads(threads=1, queue=99, meter=HashMeter(1, 99))) as hashing,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(loop, "call_soon_threadsafe", counted, raising=False)
        tasks = [asyncio.create_task(hashing.run(go.wait, PATIENCE)) for _ in range(MOST_HELD + 2)]
        await asyncio.sleep(0)
        go.set()
        assert await asyncio.gather(*tasks) == [True] * len(tasks)
    assert len(calls) == 3


async def test_who_has_waited_for_long_is_told_at_once() -> None:
    """Where holding would use up half of the time that one may take, nothing is held."""
    now = 0.0
    holding = threading.Event()

    def take() -> None:
        nonlocal now
        now += 1

    with closing(HashThreads(threads=1, queue=99, meter=HashMeter(1, 99), most_time=3, clock=lambda: now)) as hashing:
        first = asyncio.create_task(hashing.run(take))
        others = [asyncio.create_task(hashing.run(holding.wait, PATIENCE)) for _ in range(2)]
        await first
        assert not any(other.done() for other in others)
        holding.set()
        await asyncio.gather(*others)


async def test_what_waits_when_it_closes_is_dropped(go: threading.Event) -> None:
    """Who waits for it is not left waiting."""
    hashing = HashThreads(threads=1, queue=9, meter=HashMeter(1, 9))
    running, waiting = (asyncio.create_task(hashing.run(go.wait, PATIENCE)) for _ in range(2))
    await asyncio.sleep(0)
    hashing.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    assert await running
