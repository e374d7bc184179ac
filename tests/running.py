"""A whole worker in the test's own process, on a real socket, and ways to look inside it."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
from sanic import Sanic

from app.load import LauncherLoad
from app.server import Parts, create_app, create_protocol, utc_now
from app.tuning.names import GIVEN
from app.tuning.parts import Tuning
from app.worker import drain, listen
from observability.model import load_slo
from observability.telemetry import Telemetry

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from sanic.server.async_server import AsyncioServer

    from app.services.ports import Clock
    from app.settings import Settings

EMAIL = "ann@example.org"
PASSWORD = "correct horse battery"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of http URLs: else each would read the certificates of all authorities, for nothing."""


@dataclass(frozen=True)
class Service:
    """A running worker: a client to call it with, and its insides."""

    client: httpx.AsyncClient
    parts: Parts
    telemetry: Telemetry
    sql: asyncpg.Connection[Any]
    port: int
    server: AsyncioServer
    tuning: Tuning | None

    async def register(self, email: str = EMAIL) -> dict[str, Any]:
        """Open an account."""
        answer = await self.client.post("/auth/register", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def login(self, email: str = EMAIL) -> dict[str, str]:
        """Open a session; return the header that carries its token."""
        answer = await self.client.post("/auth/login", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['token']}"}

    async def person(self, email: str = EMAIL) -> dict[str, str]:
        """Register and log in."""
        await self.register(email)
        return await self.login(email)

    async def rows(self) -> dict[str, int]:
        """Count the rows of each table."""
        tables = ("users", "profiles", "sessions", "pending_invalidations")
        return {table: await self.sql.fetchval(f"SELECT count(*) FROM {table}") for table in tables}  # noqa: S608 - our own names


Serve = Callable[..., AbstractAsyncContextManager[Service]]


@contextlib.asynccontextmanager
async def running(
    settings: Settings, clock: Clock = utc_now, environment: Mapping[str, str] | None = None, redis: Redis | None = None
) -> AsyncIterator[Service]:
    """Run a worker with these settings, and with these variables for telemetry; with ``redis``, it can be tuned."""
    assert settings.database_url
    telemetry = Telemetry(
        service="gatewatch", version="test", instance="test", slo=load_slo(settings.slo), environment=environment or {}
    )
    parts = await Parts.open(settings, telemetry.recorder, clock)
    load = LauncherLoad(None, settings.data_dir, allowed=False)
    tuning = await Tuning.open(settings, parts, telemetry, redis, load, {GIVEN: ""}) if redis else None
    app = create_app(settings, parts.services, telemetry, load, tuning)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    protocol = create_protocol(settings, telemetry)
    server = await listen(app, listener, protocol)
    parts.services.health.state = "serving"
    sql = await asyncpg.connect(settings.database_url)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, verify=NO_TLS) as client:
            yield Service(client, parts, telemetry, sql, port, server, tuning)
    finally:
        await sql.close()
        await drain(server, protocol)
        if tuning:
            await tuning.close()
        await parts.close()
        Sanic.unregister_app(app)
