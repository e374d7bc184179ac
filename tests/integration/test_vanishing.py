"""Clients that leave in the middle: nothing of theirs stays behind, and nobody else gets their answers."""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest
    from running import Service

CLIENTS = int(os.environ.get("VANISHING_CLIENTS", "1000"))
"""How many come and go; more take longer, 400 a second."""

PEOPLE = ("ann@example.org", "bob@example.org", "cat@example.org")


async def test_clients_that_vanish_leave_nothing_and_mislead_nobody(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever they sent and however soon they left: others get their own answers, all is given back, our log is not filled."""
    chance = random.Random(1)  # noqa: S311 - not a secret
    bearers = [await service.person(email) for email in PEOPLE]
    requests = [
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer['Authorization']}\r\n\r\n".encode()
        for bearer in bearers
        for path in ("/auth/me", "/auth/check", "/auth/sessions", "/health/live")
    ]

    async def come_and_go(times: int) -> None:
        for _ in range(times):
            _, writer = await asyncio.open_connection("127.0.0.1", service.port)
            if chance.random() < 0.7:  # a connection on which the service waits already
                await asyncio.sleep(0.002)
            request = chance.choice(requests)
            writer.write(chance.choice((request, request * 9, request[: chance.randrange(len(request))])))
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.003)))
            if chance.random() < 0.5:
                writer.transport.abort()
            writer.close()

    async def stay(email: str, bearer: dict[str, str]) -> int:
        count = 0
        while not leaving.done():
            answer = await service.client.get("/auth/me", headers=bearer)
            assert (answer.status_code, answer.json()["email"]) == (200, email)
            count += 1
        return count

    leaving = asyncio.gather(*(come_and_go(CLIENTS // 8) for _ in range(8)))
    counts = await asyncio.gather(*(stay(*person) for person in zip(PEOPLE, bearers, strict=True)))
    await leaving
    assert min(counts) > 10
    recorder = service.telemetry.recorder
    [pool] = [pool.name for pool in recorder.snapshot().pools]
    async with asyncio.timeout(30):
        while (  # noqa: ASYNC110 - none of these has an event
            recorder.in_flight or recorder.pool(pool, 0).in_use or len(service.server.connections) > len(PEOPLE)
        ):
            await asyncio.sleep(0.01)
    assert [record.getMessage() for record in caplog.records if record.name == "gatewatch"] == []
