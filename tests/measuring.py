"""One worker that records requests of known distributions twice: as it does in life, and one by one.

Run as ``python tests/measuring.py SEED FILE``; it serves itself, and leaves what it recorded in the file.
"""

from __future__ import annotations

import asyncio
import random
import socket
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from sanic import HTTPResponse, Request, Sanic, text

from observability.model import encode_snapshot
from observability.record import Recorder
from observability.record.current import SQL, spend
from observability.record.sanic import hook

REQUESTS = 400
"""Of each distribution."""

CONNECTIONS = 16


class Measured(msgspec.Struct):
    """What one worker recorded: its snapshot, and by route each duration and the seconds that handlers say they waited."""

    snapshot: bytes
    durations: dict[str, list[float]]
    waited: dict[str, float]


def uniform(chance: random.Random) -> float:
    """Return 5 to 35 ms."""
    return chance.uniform(0.005, 0.035)


def lognormal(chance: random.Random) -> float:
    """Return about 8 ms, and now and then ten times that."""
    return min(0.2, chance.lognormvariate(-4.8, 0.8))


def bimodal(chance: random.Random) -> float:
    """Return 4 ms, or 60 ms one time in ten."""
    return chance.gauss(0.06, 0.003) if chance.random() < 0.1 else chance.gauss(0.004, 0.0005)


SHAPES = {"/uniform": uniform, "/lognormal": lognormal, "/bimodal": bimodal}


async def measure(seed: int) -> Measured:
    """Serve and ask, and return what was recorded."""
    chance, recorder, measured = random.Random(seed), Recorder(instance="test"), Measured(b"", {}, {})  # noqa: S311 - no secret
    recorder.stalls.start()
    application: Sanic[Any, Any] = Sanic("measuring", configure_logging=False)

    for route, shape in SHAPES.items():

        async def handler(_: Request, shape: Any = shape, route: str = route) -> HTTPResponse:
            began = time.perf_counter()
            await asyncio.sleep(max(0.0, shape(chance)))
            ended = time.perf_counter()
            spend(SQL, began, ended)
            measured.waited[route] = measured.waited.get(route, 0.0) + ended - began
            return text("")

        application.add_route(handler, route, name=route[1:])
    protocol: Any = hook(recorder)

    class Raw(protocol):  # type: ignore[misc] # it is made at run time
        """Keeps every duration that is counted."""

        def _counted(self, http: Any) -> Any:
            seconds = self.last_write - self.first_byte
            series = super()._counted(http)
            if series is not None:
                measured.durations.setdefault(series.key[1], []).append(seconds)
            return series

        def _record(self, http: Any, method: str, route: str, status: int, error: str, ended: float) -> None:
            measured.durations.setdefault(route, []).append(ended - self.first_byte)
            super()._record(http, method, route, status, error, ended)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server: Any = await application.create_server(
            sock=listener, protocol=Raw, return_asyncio_server=True, access_log=False
        )
        await server.startup()
        await server.before_start()
        await server.start_serving()
        waiting = [route for route in SHAPES for _ in range(REQUESTS)]
        chance.shuffle(waiting)
        await asyncio.gather(*(_ask(listener.getsockname()[1], waiting) for _ in range(CONNECTIONS)))
        while recorder.in_flight:  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.01)
        measured.snapshot = encode_snapshot(recorder.snapshot())
        await server.close()
    return measured


async def _ask(port: int, waiting: list[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while waiting:
        writer.write(f"GET {waiting.pop()} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
    writer.close()


def read(file: Path) -> Measured:
    """Return what a worker left."""
    return msgspec.msgpack.decode(file.read_bytes(), type=Measured)


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(msgspec.msgpack.encode(asyncio.run(measure(int(sys.argv[1])))))
