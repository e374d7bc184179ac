"""A server whose service times are known: ``python -m benchmarks.load_queue PORT exponential|fixed|stall SECONDS``.

One queue and one server behind it: a request is begun when all before it are done, and answered when its service time is over, to
within some ten microseconds. With ``stall`` it answers at once, but stops for so many seconds, once, four seconds after the first
request. Whatever generator asks, the same times are drawn. When it is told to end it prints how many seconds it was late with
its answers, in 99 % of cases at most, because it had to wait for a core; or how long it really stopped.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections import deque
from typing import cast

import uvloop

from benchmarks.load_theory import percentile
from loadgen.timer import timer

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'
STALLS_AFTER = 4.0
SEED = 20


class Queue:
    """Who is in the queue, in the order in which they are done."""

    def __init__(self, kind: str, seconds: float) -> None:
        self._kind = kind
        self._seconds = seconds
        self._randomness = random.Random(SEED)  # noqa: S311 - to be repeated, no secret
        self._free = 0.0
        self._waiting: deque[tuple[float, asyncio.Transport]] = deque()
        self._timer = timer(self._answer)
        self._late: list[float] = []
        self._stopped = 0.0

    def join(self, transport: asyncio.Transport) -> None:
        """Take one more request."""
        if self._kind == "stall":
            if not self._free:
                self._free = 1.0
                asyncio.get_running_loop().call_later(STALLS_AFTER, self._stop)
            transport.write(ANSWER)
            return
        exponential = self._kind == "exponential"
        took = self._randomness.expovariate(1 / self._seconds) if exponential else self._seconds
        self._free = max(self._free, time.perf_counter()) + took
        self._waiting.append((self._free, transport))
        if len(self._waiting) == 1:
            self._timer.set(self._free)

    @property
    def told(self) -> float:
        """What is printed at the end."""
        return percentile(self._late, 0.99) if self._late else self._stopped

    def _stop(self) -> None:
        began = time.perf_counter()
        time.sleep(self._seconds)
        self._stopped = time.perf_counter() - began

    def _answer(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.perf_counter():
            due, transport = self._waiting.popleft()
            transport.write(ANSWER)
            self._late.append(time.perf_counter() - due)
        if self._waiting:
            self._timer.set(self._waiting[0][0])


class Client(asyncio.Protocol):
    """One connection; what it says is a request when it ends as a request does."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Queue each request."""
        for _ in range(data.count(b"\r\n\r\n")):
            self._queue.join(self._transport)


async def _serve(port: int, kind: str, seconds: float) -> None:
    queue = Queue(kind, seconds)
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    async with await loop.create_server(lambda: Client(queue), "127.0.0.1", port, backlog=1024):
        await over.wait()
        print(queue.told, flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
