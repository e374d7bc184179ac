"""Small services over real sockets, in the test's own process, that know exactly what they answered and when."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from loadgen.results import RunFolder, RunStatus
from loadgen.runner import Order, Runner
from loadgen.scenario import Scenario
from loadgen.target import Target
from observability.model import Slo

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

Serve = Callable[..., AbstractAsyncContextManager["Service"]]


class Service:
    """Answers every request at an instant that it decides when the request comes, and remembers all of it."""

    def __init__(self) -> None:
        self.target = Target("127.0.0.1", 0)
        self.answered: Counter[tuple[str, str, int]] = Counter()
        self.traces: list[str] = []
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []
        self.replied: list[float] = []
        self.arrived = asyncio.Event()
        self.connected = self.under_way = self.most_under_way = 0
        self.instant: Callable[[float], float] = lambda now: now
        """When to answer a request that came now; seconds of perf_counter."""
        self.decide: Callable[[str, str, dict[str, str]], tuple[int, bytes, str]] = lambda *_: (200, b"{}", "")

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it is closed."""
        self.connected += 1
        try:
            while True:
                await self._exchange(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.connected -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        due = self.instant(time.perf_counter())
        first, *lines = head.split("\r\n")[:-2]
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.seen.append((method, path, headers, json.loads(body) if body else None))
        self.traces.append(headers.get("traceparent", ""))
        self.arrived.set()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(due - time.perf_counter())
        status, content, extra = self.decide(method, path, headers)
        self.under_way -= 1
        self.answered[method, path, status] += 1
        self.replied.append(time.perf_counter())
        writer.write(f"HTTP/1.1 {status} Word\r\nContent-Length: {len(content)}\r\n{extra}\r\n".encode() + content)


class Silent:
    """Progress that nobody looks at."""

    def show(self, status: RunStatus) -> None:
        """Show nothing."""


@pytest.fixture
def serve() -> Serve:
    """Return what serves a fresh service on a free port, with TLS if a context is given."""

    @asynccontextmanager
    async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Service]:
        service = Service()
        server = await asyncio.start_server(service, "127.0.0.1", 0, ssl=tls)
        service.target = Target("127.0.0.1", server.sockets[0].getsockname()[1], tls=tls is not None)
        try:
            yield service
        finally:
            server.close()
            await server.wait_closed()

    return serving


@pytest.fixture
def order(tmp_path: Path) -> Callable[..., Runner]:
    """Return a maker of runs: one request, ``GET /``, at 200 a second for a second, unless said otherwise."""

    def make(
        target: Target, *, slo: Slo | None = None, samples: bool = False, authority: Any = None, **changes: Any
    ) -> Runner:
        fields: dict[str, Any] = {
            "name": "mine",
            "users": 8,
            "rate_per_minute": 12_000,
            "seconds": 1.0,
            "request": {"root": {"path": "/"}},
            "mix": {"root": 1},
        }
        scenario = msgspec.convert(fields | changes, Scenario)
        whole = Order(
            scenario=scenario, target=target, slo=slo or Slo(), run="run-1", samples=samples, authority=authority
        )
        return Runner(whole, RunFolder(tmp_path, "run-1"), Silent())

    return make
