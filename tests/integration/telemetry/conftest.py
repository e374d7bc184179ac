"""A small Sanic application that is not ours, served in this process on a free port with the hook; a Redis of our own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from receiving import Sink, receiving
from rotels import rotel_at
from sanic import Blueprint, HTTPResponse, Request, Sanic, Websocket, text
from sanic.exceptions import SanicException

from app.embedded import Server, start_redis
from app.embedded.port import free_port
from app.storage.cache import telemetry_client
from observability.publish.stream import StreamPublisher
from observability.publish.traces import KeptPublisher
from observability.record import Recorder
from observability.record.sanic import hook, note_error, trace_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from subprocess import Popen

    from redis.asyncio import Redis

PATIENCE = 60.0
"""Seconds in which something that does not depend on time must have happened, however busy the machine is."""

_numbers = itertools.count()


@dataclass
class Site:
    """The served application: its port and what its recorder counted."""

    port: int
    recorder: Recorder
    entered: asyncio.Event

    def counted(self) -> dict[tuple[str, str, int, str], int]:
        """Return how many requests each series has."""
        return {(c.method, c.route, c.status, c.error): c.duration.count for c in self.recorder.requests.freeze()}

    async def settled(self, count: int) -> dict[tuple[str, str, int, str], int]:
        """Return the series once ``count`` requests have ended: a record follows its response by a moment."""
        async with asyncio.timeout(PATIENCE):
            while sum(self.counted().values()) < count or self.recorder.in_flight:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.005)
        return self.counted()

    @staticmethod
    def get(path: str, *more: str, last: bool = True) -> bytes:
        """Return a GET request as it goes over the wire."""
        lines = [f"GET {path} HTTP/1.1", "Host: test", *more, *(["Connection: close"] if last else [])]
        return "\r\n".join([*lines, "", ""]).encode()

    async def exchange(self, raw: bytes) -> bytes:
        """Send bytes on a new connection and return all that comes back until the server closes it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(raw)
        await writer.drain()
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


def build_application(entered: asyncio.Event) -> Sanic[Any, Any]:  # noqa: C901 - a list of small handlers
    """Return an application with a route for every way a request can go."""
    application: Sanic[Any, Any] = Sanic(f"telemetry_test_{next(_numbers)}", configure_logging=False)
    # Sanic can rewrite its own methods for one application a process only; served for real, the hook meets both.
    application.config.TOUCHUP = False

    @application.get("/plain")
    async def plain(request: Request) -> HTTPResponse:
        return text(trace_id(request))

    @application.get("/users/<user_id:int>")
    async def user(_: Request, user_id: int) -> HTTPResponse:
        return text(str(user_id))

    @application.post("/body")
    async def body(request: Request) -> HTTPResponse:
        return text(str(len(request.body)))

    @application.get("/refused")
    async def refused(request: Request) -> HTTPResponse:
        note_error(request, "credentials_rejected")
        return text("no", status=401)

    @application.get("/broken")
    async def broken(_: Request) -> HTTPResponse:
        raise SanicException("broken on purpose", status_code=500, quiet=True)

    @application.get("/slow")
    async def slow(_: Request) -> HTTPResponse:
        entered.set()
        await asyncio.sleep(30)
        return text("too late")

    @application.get("/stream")
    async def stream(request: Request) -> None:
        response = await request.respond(content_type="text/plain")
        for _ in range(3):
            await response.send("part ")
            await asyncio.sleep(0.02)
        await response.eof()

    @application.get("/events", ctx_untimed=True)
    async def events(request: Request) -> None:
        response = await request.respond(content_type="text/event-stream")
        await response.send("data: first\n\n")
        await asyncio.sleep(0.4)
        await response.eof()

    @application.get("/endless")
    async def endless(request: Request) -> None:
        response = await request.respond(content_type="text/plain")
        entered.set()
        while True:
            await response.send("x" * 1000)
            await asyncio.sleep(0.005)

    async def echo(_: Request, ws: Websocket) -> None:
        await ws.send(await ws.recv() or "")

    application.add_websocket_route(echo, "/socket")

    return application


@contextlib.asynccontextmanager
async def serving(
    recorder: Recorder, protocol: type | None = None, page: Blueprint | None = None
) -> AsyncIterator[Site]:
    """Serve the application, with one more page, on a free port until the block ends."""
    entered = asyncio.Event()
    application = build_application(entered)
    if page is not None:
        application.blueprint(page)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server: Any = await application.create_server(
        sock=listener, protocol=protocol or hook(recorder), return_asyncio_server=True, access_log=False
    )
    assert server is not None
    await server.startup()
    await server.before_start()
    await server.start_serving()
    try:
        yield Site(listener.getsockname()[1], recorder, entered)
    finally:
        await server.close()
        for connection in list(server.connections):
            connection.abort()
        await asyncio.sleep(0)
        Sanic.unregister_app(application)


@pytest.fixture
def serve() -> Callable[..., AbstractAsyncContextManager[Site]]:
    """How a test serves the application itself, with a recorder or protocol of its own."""
    return serving


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Serve the application and record it."""
    async with serving(Recorder(instance="test")) as served:
        yield served


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody take a Redis that a busy machine makes slow for one that is away; who freezes one takes that back."""
    for module, name in (
        ("publish.instance", "_TIMEOUT"),
        ("read.follower", "_READ_TIMEOUT"),
        ("read.refresh", "_TIMEOUT"),
        ("read.watch", "_TIMEOUT"),
        ("read.traces", "_TIMEOUT"),
        ("read.notes", "_TIMEOUT"),
    ):
        monkeypatch.setattr(f"observability.{module}.{name}", PATIENCE)
    for publisher in (StreamPublisher, KeptPublisher):
        monkeypatch.setitem(cast("dict[str, Any]", publisher.__init__.__kwdefaults__), "timeout", PATIENCE)


@pytest.fixture
def redis_server() -> Iterator[Server]:
    """Start a Redis of this test's own, that may be killed."""
    server = start_redis()
    yield server
    server.stop()


@pytest.fixture
async def redis(redis_server: Server) -> AsyncIterator[Redis]:
    """Connect to that Redis."""
    client = telemetry_client(redis_server.url, timeout=PATIENCE)
    yield client
    await client.aclose()


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Start an HTTP server that keeps what is posted to it."""
    with receiving() as kept:
        yield kept


@pytest.fixture
def start_receiver(sink: Sink, tmp_path: Path) -> Callable[[int], AbstractAsyncContextManager[Popen[bytes]]]:
    """How a test runs a real receiver on a port that forwards to the sink."""
    return lambda port: rotel_at(port, sink.port, tmp_path)


@pytest.fixture
async def receiver(start_receiver: Any) -> AsyncIterator[str]:
    """Start a rotel that forwards to the sink, and give its OTLP/HTTP address."""
    port = free_port()
    async with start_receiver(port):
        yield f"http://127.0.0.1:{port}"
