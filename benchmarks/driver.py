"""A closed loop of requests over a fixed number of connections, and what it cost the server."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING

import msgspec
import psutil

from loadgen.client import Answer, Connection
from loadgen.target import parse_target

if TYPE_CHECKING:
    from collections.abc import Sequence


class Cost(msgspec.Struct, frozen=True):
    """One measurement. ``cpu`` is the server process's user and system seconds a request; ``rate`` is requests/s."""

    requests: int
    rate: float
    cpu: float


class WrongAnswer(Exception):
    """A server answered something else than it should: its speed is of no interest."""


async def drive(
    url: str, payloads: Sequence[bytes], *, status: int, pid: int, connections: int, seconds: float
) -> Cost:
    """Send ``payloads`` in turn over ``connections`` for ``seconds``; every answer must have ``status``."""
    process, turn = psutil.Process(pid), itertools.cycle(payloads)
    opened = [Connection(parse_target(url), timeout=10) for _ in range(connections)]
    finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    count, idle, end = 0, 0, time.perf_counter() + seconds

    def follow(connection: Connection) -> None:
        def answered(answer: Answer) -> None:
            nonlocal count, idle
            if answer.status != status:
                if not finished.done():
                    finished.set_exception(WrongAnswer(f"{url}: {answer.status} {answer.failure}, not {status}"))
                return
            count += 1
            if time.perf_counter() < end:
                connection.send(next(turn), answered)
                return
            idle += 1
            if idle == len(opened) and not finished.done():
                finished.set_result(None)

        connection.send(next(turn), answered)

    before, began = _cpu(process), time.perf_counter()
    for connection in opened:
        follow(connection)
    try:
        await finished
    finally:
        for connection in opened:
            connection.close()
    took = time.perf_counter() - began
    return Cost(count, count / took, (_cpu(process) - before) / count)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
