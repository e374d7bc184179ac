"""The Redis server's own figures, from INFO."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from observability.model import RedisServer

if TYPE_CHECKING:
    from observability.model.stream import Commands


async def sample_redis(redis: Commands, timeout: float = 0.3) -> RedisServer | None:  # noqa: ASYNC109 - the outer deadline is this function's promise
    """Return the server's figures, or None when it does not answer within ``timeout`` seconds or answers nonsense."""
    try:
        async with asyncio.timeout(timeout):
            reply = await redis.execute_command("INFO", "server", "stats", "memory")
        return read_info(reply)
    except Exception:  # noqa: BLE001 - whatever a handed-in client raises, telemetry goes on without this figure
        return None


def read_info(reply: Mapping[str, Any] | bytes) -> RedisServer:
    """Make figures of an INFO reply, parsed (redis-py does) or raw; raise KeyError or ValueError when they are absent."""
    fields = reply if isinstance(reply, Mapping) else dict(_lines(reply))
    return RedisServer(
        run_id=str(fields["run_id"]),
        hits=int(fields["keyspace_hits"]),
        misses=int(fields["keyspace_misses"]),
        evicted=int(fields["evicted_keys"]),
        expired=int(fields["expired_keys"]),
        memory_used=int(fields["used_memory"]),
        memory_max=int(fields.get("maxmemory", 0)),
        policy=str(fields.get("maxmemory_policy", "")),
    )


def _lines(raw: bytes) -> list[tuple[str, str]]:
    pairs = (line.partition(":") for line in raw.decode().splitlines() if line and not line.startswith("#"))
    return [(name, value) for name, _, value in pairs]
