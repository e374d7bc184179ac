"""The Server-Timing header, which is off unless it is asked for, on both ways to an answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx
    from running import Serve, Service


def told(answer: httpx.Response) -> dict[str, float]:
    """Return milliseconds by name."""
    header = answer.headers["Server-Timing"]
    assert re.fullmatch(r"total;dur=\d+\.\d{3}(, [a-z_]+;dur=\d+\.\d{3})*", header)
    return {name: float(dur) for name, _, dur in (part.partition(";dur=") for part in header.split(", "))}


async def test_it_is_off_by_default(service: Service) -> None:
    """Strangers learn nothing of what takes how long."""
    bearer = await service.person()
    for path in ("/auth/me", "/auth/me", "/health/ready", "/nothing"):
        assert "Server-Timing" not in (await service.client.get(path, headers=bearer)).headers


async def test_answers_tell_what_they_took(serve: Serve) -> None:
    """Parts are within the whole: of a login its hash and queries, of a cached session check what Redis took."""
    async with serve(server_timing=True) as service:
        bearer = await service.person()
        login = await service.client.post(
            "/auth/login", json={"email": "ann@example.org", "password": "correct horse battery"}
        )
        parts = told(login)
        assert {"hash", "sql"} <= parts.keys()
        assert parts["hash"] <= parts["total"]
        await service.client.get("/auth/me", headers=bearer)
        for path, body in (("/auth/check", ""), ("/auth/me", '"email":"ann@example.org"')):
            answer = await service.client.get(path, headers=bearer)
            parts = told(answer)
            assert parts.keys() == {"total", "redis"}
            assert parts["redis"] <= parts["total"]
            assert body in answer.text
        assert told(await service.client.get("/nothing")).keys() == {"total"}
