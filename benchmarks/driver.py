"""Requests over kept connections, in a closed loop or at a steady rate: how long they took, and what they cost the server."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
from array import array
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import psutil

from loadgen.client import Answer, Connection
from loadgen.target import parse_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAIRS = int(os.environ.get("BENCH_PAIRS", "5"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
TIMEOUT = 30.0


class Cost(msgspec.Struct, frozen=True):
    """One measurement.

    ``cpu`` is the server's user and system seconds a request, of the processes named; ``rate`` is requests/s; ``driver`` is how much of
    a core the driver used: near 1, it measured itself. ``p50``, ``p95`` and ``p99`` are seconds, from the intended time at a
    steady rate.
    """

    requests: int
    rate: float
    cpu: float
    driver: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


class WrongAnswer(Exception):
    """A server answered something else than it should: its speed is of no interest."""


def connection_to(url: str) -> Connection:
    """Make a connection that gives up after a long while only."""
    return Connection(parse_target(url), timeout=TIMEOUT)


def rounds() -> Iterator[bool]:
    """Count the pairs aloud; the first round is False, only to warm up."""
    for number in range(PAIRS + 1):
        print(f"  pair {number} of {PAIRS}" if number else "  warming up", file=sys.stderr)
        yield number > 0


async def drive(
    url: str,
    payloads: Sequence[bytes],
    *,
    status: int,
    pid: int | tuple[int, ...],
    connections: int,
    seconds: float,
    repeat: bool = True,
) -> Cost:
    """Send ``payloads`` in turn, each connection its next as soon as it has an answer; every answer must have ``status``.

    It ends after ``seconds``, or when the payloads are used up and not to be repeated.
    """
    run, left = _Run(url, status, pid, connections), connections
    turn, end = itertools.cycle(payloads) if repeat else iter(payloads), time.perf_counter() + seconds

    def follow(connection: Connection) -> None:
        nonlocal left
        payload = next(turn, None) if time.perf_counter() < end else None
        if payload is not None:
            connection.send(payload, partial(answered, connection))
            return
        left -= 1
        if not left:
            run.end()

    def answered(connection: Connection, answer: Answer) -> None:
        if run.take(answer, answer.begun):
            follow(connection)

    for connection in run.connections:
        follow(connection)
    return await run.cost()


async def pace(
    url: str,
    payloads: Sequence[bytes],
    *,
    status: int,
    pid: int | tuple[int, ...],
    connections: int,
    seconds: float,
    rate: float,
) -> Cost:
    """Send ``payloads`` in turn at ``rate`` requests/s; one that finds no free connection waits, and its wait counts."""
    run, turn, count = _Run(url, status, pid, connections), itertools.cycle(payloads), max(1, int(seconds * rate))
    free, waiting = deque(run.connections), deque[float]()

    def send(connection: Connection, intended: float) -> None:
        connection.send(next(turn), partial(answered, connection, intended))

    def answered(connection: Connection, intended: float, answer: Answer) -> None:
        if not run.take(answer, min(intended, answer.begun)):  # timers are whole ms: one may be early
            return
        if waiting:
            send(connection, waiting.popleft())
        else:
            free.append(connection)
        if len(run.took) == count:
            run.end()

    async def plan() -> None:
        began = time.perf_counter()
        for number in range(count):
            intended = began + number / rate
            if (left := intended - time.perf_counter()) > 0:
                await asyncio.sleep(left)
            if free:
                send(free.popleft(), intended)
            else:
                waiting.append(intended)

    planned = asyncio.create_task(plan())
    try:
        return await run.cost()
    finally:
        planned.cancel()


class _Run:
    """One measurement under way: its connections, and what came back over them."""

    def __init__(self, url: str, status: int, pid: int | tuple[int, ...], connections: int) -> None:
        self._url, self._status = url, status
        self._server = [psutil.Process(each) for each in (pid if isinstance(pid, tuple) else (pid,))]
        self._driver = [psutil.Process()]
        self.connections = [connection_to(url) for _ in range(connections)]
        self.took = array("d")
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._before, self._began = (_cpu(self._server), _cpu(self._driver)), time.perf_counter()

    def take(self, answer: Answer, since: float) -> bool:
        """Count an answer; a wrong one ends the run, and says no."""
        if answer.status != self._status or answer.failure:
            if not self._over.done():
                said = f"{answer.status} {answer.failure} {answer.detail}".strip()
                self._over.set_exception(WrongAnswer(f"{self._url} answered {said}, not {self._status}"))
            return False
        self.took.append(answer.last - since)
        return True

    def end(self) -> None:
        """Note that nothing more will come."""
        if not self._over.done():
            self._over.set_result(None)

    async def cost(self) -> Cost:
        """Wait for the end, and say what it cost."""
        try:
            await self._over
        finally:
            for connection in self.connections:
                connection.close()
        seconds, count, ordered = time.perf_counter() - self._began, len(self.took), sorted(self.took)
        return Cost(
            requests=count,
            rate=count / seconds,
            cpu=(_cpu(self._server) - self._before[0]) / count,
            driver=(_cpu(self._driver) - self._before[1]) / seconds,
            p50=ordered[count // 2],
            p95=ordered[count * 95 // 100],
            p99=ordered[count * 99 // 100],
        )


def _cpu(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return float(sum(each.user + each.system for each in times))
