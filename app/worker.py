"""One serving process: a single-process Sanic server on a listening socket that its siblings share.

Sanic's own runner is not used: it cannot tell a lifeline from a signal, and event streams delay its exit.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import uvloop
from sanic.application.state import ApplicationServerInfo
from sanic.http.constants import HTTP

from app import __version__
from app.control import Control
from app.database_cpu import DatabaseCpu
from app.load import LauncherLoad
from app.priority import quietly
from app.server import Parts, create_app, create_protocol
from app.storage.cache import eviction_warning, telemetry_client
from app.tuning.parts import Tuning
from observability.model import load_slo
from observability.record import logs
from observability.telemetry import Telemetry

if TYPE_CHECKING:
    from sanic import Sanic
    from sanic.server.async_server import AsyncioServer
    from sanic.server.protocols.http_protocol import HttpProtocol

    from app.security.lending import Lending
    from app.settings import Settings

DRAIN_SECONDS = 5.1
"""How long requests under way have to end after the signal: longer than a query may take."""

IDLE_SECONDS = 0.5
"""How long a connection may stay open without a request while the worker drains."""

ORPHAN_SECONDS = 4.5
"""After the launcher's death the process ends within this time, whatever still runs."""

BACKLOG = 1024

REST = 0.02
"""Seconds between two steps of a start, in which those who serve have the core for themselves."""

TELEMETRY_PATIENCE = 0.3

_log = logging.getLogger("gatewatch")


def run_worker(
    settings: Settings, listener: socket.socket, control: socket.socket, number: int, lending: Lending | None = None
) -> int:
    """Serve until SIGTERM, or until the launcher at the other end of ``control`` is gone; return the exit code."""
    logging.basicConfig(level=logging.WARNING, handlers=[logs.handler(settings.log, {"worker": number})])
    os.environ["SANIC_IGNORE_PRODUCTION_WARNING"] = "1"  # it is meant to
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the launcher's business
    uvloop.run(_serve(settings, listener, control, number, lending))
    return 0


async def _serve(
    settings: Settings, listener: socket.socket, control_end: socket.socket, number: int, lending: Lending | None
) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    control = await Control.open(control_end)
    telemetry = Telemetry(
        service="gatewatch",
        version=__version__,
        instance=settings.instance or f"{socket.gethostname()}:{settings.port}",
        slo=load_slo(settings.slo),
        environment=os.environ,
        first=number == 1,
        blocked_after=settings.blocked_after,
    )
    async with contextlib.AsyncExitStack() as stack:
        redis = telemetry_client(settings.redis_url or "", timeout=TELEMETRY_PATIENCE)
        stack.push_async_callback(redis.aclose)
        parts = await Parts.open(settings, telemetry.recorder, number=number, lending=lending)
        stack.push_async_callback(parts.close)
        await asyncio.sleep(REST)
        load = LauncherLoad(control, settings.data_dir, allowed=settings.load_allowed)
        # Before the first words of telemetry, so that they are of the settings with which it will serve.
        tuning = await Tuning.open(settings, parts, telemetry, redis, load, os.environ)
        await asyncio.sleep(REST)
        # One worker of an instance is enough to ask, since all of them would say the same.
        await telemetry.start(redis, database_cpu=DatabaseCpu(parts.database) if number == 1 else None)
        stack.push_async_callback(telemetry.stop)
        stack.push_async_callback(tuning.close)
        await asyncio.sleep(REST)
        app = quietly(partial(create_app, settings, parts.services, telemetry, load, tuning))
        protocol = create_protocol(settings, telemetry)
        await asyncio.sleep(REST)
        quietly(_settle_heap)
        await asyncio.sleep(REST)
        server = await listen(app, listener, protocol)
        parts.services.health.state = "serving"
        control.say("ready")
        if number == 1 and (warning := await eviction_warning(redis)):
            _log.warning(warning)
        await _until(stopping, control.gone)
        if control.gone.is_set():
            _end_within(ORPHAN_SECONDS)
        parts.services.health.state = "draining"
        await drain(server, protocol)
        await control.close()


def _settle_heap() -> None:
    """Let full collections pass over what is alive before serving begins: it stays, and looking at it takes tens of ms."""
    gc.collect()
    gc.freeze()


async def listen(app: Sanic[Any, Any], listener: socket.socket, protocol: type[asyncio.Protocol]) -> AsyncioServer:
    """Start an application on a listening socket; nothing is accepted before it is ready."""
    server = await app.create_server(
        sock=listener, protocol=protocol, backlog=BACKLOG, asyncio_server_kwargs={"start_serving": False}
    )
    if server is None:
        raise RuntimeError("Sanic made no server")
    # Sanic drops an empty Alt-Svc header from every response only if it knows which protocols are served.
    app.state.server_info.append(ApplicationServerInfo(settings={"version": HTTP.VERSION_1}))
    await asyncio.sleep(REST)
    await server.startup()
    await asyncio.sleep(REST)
    await server.before_start()
    await server.start_serving()
    await server.after_start()
    app.set_serving(True)
    return server


async def _until(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def _end_within(seconds: float) -> None:
    """End the process for sure, even if the event loop never runs again."""
    timer = threading.Timer(seconds, os._exit, args=(1,))
    timer.daemon = True
    timer.start()


async def drain(server: AsyncioServer, protocol: Any) -> None:
    """Take no new connection and let every connection end after the request it is working on."""
    protocol.draining = True
    server.close()
    await server.before_stop()
    connections: set[HttpProtocol] = server.connections
    loop = asyncio.get_running_loop()
    begin = loop.time()
    while connections and loop.time() - begin < DRAIN_SECONDS:
        # A connection that is idle now may carry a request that is on its way: closing it at once would be a reset
        # for that client, so it is given a moment to learn from an answer that the connection ends.
        if loop.time() - begin > IDLE_SECONDS:
            await asyncio.sleep(0)  # a worker that stood still looks into its sockets before it calls a connection idle
            for connection in list(connections):
                if getattr(connection, "_http", None) is not None:  # else it was accepted within this turn of the loop
                    connection.close_if_idle()
        await asyncio.sleep(0.01)
    for connection in list(connections):
        connection.abort()
    await server.after_stop()
