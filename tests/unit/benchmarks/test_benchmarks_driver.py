"""What the driver sends, what it believes, and from when it counts."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from benchmarks.driver import WrongAnswer, drive, pace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAYLOADS = [f"GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for number in range(10)]


@asynccontextmanager
async def server(*, status: int = 204, takes: float = 0) -> AsyncIterator[tuple[str, Counter[bytes]]]:
    """Answer everything alike, one request of a connection at a time; yield the address and what was asked how often."""
    asked: Counter[bytes] = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked[await reader.readuntil(b"\r\n\r\n")] += 1
                await asyncio.sleep(takes)
                writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", asked


async def test_every_payload_has_its_turn() -> None:
    """A closed loop goes round all payloads, over every connection, and counts each answer."""
    async with server() as (url, asked):
        cost = await drive(url, PAYLOADS, status=204, pid=os.getpid(), connections=4, seconds=0.2)
    assert cost.requests == asked.total() >= len(PAYLOADS)
    assert max(asked.values()) - min(asked.values()) <= 1
    assert 0 < cost.p50 <= cost.p95


async def test_payloads_that_are_not_repeated_are_sent_once() -> None:
    """A token whose first request is measured has no second one; the run ends when all are used."""
    async with server() as (url, asked):
        cost = await drive(url, PAYLOADS, status=204, pid=os.getpid(), connections=4, seconds=60, repeat=False)
    assert cost.requests == 10
    assert asked == Counter(PAYLOADS)


async def test_a_wrong_answer_ends_the_measurement() -> None:
    """How fast a server says no is of no interest."""
    async with server(status=401) as (url, _):
        with pytest.raises(WrongAnswer, match="401"):
            await drive(url, PAYLOADS, status=204, pid=os.getpid(), connections=4, seconds=60)


async def test_waiting_for_a_free_connection_counts() -> None:
    """At a steady rate that is too high for the server, the time grows with the queue: no request waits unseen."""
    async with server(takes=0.05) as (url, asked):
        cost = await pace(url, PAYLOADS, status=204, pid=os.getpid(), connections=1, seconds=0.2, rate=100)
    assert cost.requests == asked.total() == 20
    assert cost.p95 > 0.5  # nineteen wait for the first, 50 ms each, less the 10 ms between them
