"""What strangers write in a request's first lines opens no series of telemetry."""

from __future__ import annotations

import asyncio
import random
import string
from typing import TYPE_CHECKING

from observability.record.requests import KNOWN_METHODS, OTHER_METHOD

if TYPE_CHECKING:
    from running import Serve, Service

REQUESTS = 10_000
CONNECTIONS = 20
KNOWN_STARTS = ("", "/users/", "/auth/", "/auth/sessions/", "/console/", "/console/static/", "/docs/", "/health/")
ANYWHERE = string.ascii_letters + string.digits + "-._~/"
TOKEN = string.ascii_uppercase + "!#$&'*+-.^_|~"


def request(chance: random.Random) -> bytes:
    """Make up a request: any path, method, query and host, well-formed."""

    def text(alphabet: str, most: int) -> str:
        return "".join(chance.choices(alphabet, k=chance.randint(1, most)))

    method = chance.choice((*sorted(KNOWN_METHODS - {"CONNECT", "HEAD"}), text(TOKEN, 12)))
    path = (chance.choice(KNOWN_STARTS) or "/") + chance.choice(
        ("", text(ANYWHERE, 30), f"%{chance.randrange(256):02x}")
    )
    head = f"{method} {path}?{text(ANYWHERE, 9)}={text(ANYWHERE, 9)} HTTP/1.1\r\nHost: {text(string.ascii_lowercase, 20)}.example"
    return f"{head}\r\nAuthorization: Bearer {text(ANYWHERE, 67)}\r\n\r\n".encode()


async def ask(service: Service, requests: list[bytes]) -> None:
    """Send requests one after another, on a new connection whenever one was closed, and read their answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    for raw in requests:
        writer.write(raw)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        await reader.readexactly(length)
        if b"connection: close" in head:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.close()


async def test_ten_thousand_strange_requests_add_no_series(serve: Serve) -> None:
    """Whatever the path, method, query or host, what is counted are known methods, templates of routes and own codes."""
    chance = random.Random(1)  # noqa: S311 - not a secret
    async with serve(rate_limits=False, console_token="c" * 43) as service:
        shares = [[request(chance) for _ in range(REQUESTS // CONNECTIONS)] for _ in range(CONNECTIONS)]
        async with asyncio.timeout(600):
            await asyncio.gather(*(ask(service, share) for share in shares))
        counted = service.telemetry.recorder.requests.freeze()
    assert sum(series.duration.count for series in counted) >= REQUESTS
    assert {series.method for series in counted} <= KNOWN_METHODS | {OTHER_METHOD}
    routes = {series.route for series in counted}
    assert routes <= {
        "", "/users", "/users/profile", "/auth/me", "/auth/check", "/auth/sessions", "/auth/sessions/{session_id}",
        "/docs", "/docs/{file}", "/health/live", "/health/ready",
    } | {route for route in routes if route.startswith("/console/")}, routes  # fmt: skip
    assert len([route for route in routes if route.startswith("/console/")]) <= 10, routes
    assert len(counted) <= 100, len(counted)
