"""Live settings of real workers: they follow within two seconds, pass on to a replacement, and end with the fleet."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from typing import TYPE_CHECKING

import msgspec

from app.embedded import start_redis
from app.storage.cache import telemetry_client
from app.storage.overrides import Change, Document, Overrides

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Serve = Any

PATIENCE = 120.0
"""Seconds in which what is not promised by a moment must have happened, however busy the machine is."""

SIZE = re.compile(r'^db_client_connection_max\{.*pool_name="postgresql",worker="(\w+)"\} (\d+)', re.MULTILINE)


def _sizes(serve: Serve) -> dict[str, int]:
    """Return the size of each living worker's pool, as it tells Prometheus."""
    with serve.client() as client:
        return {worker: int(size) for worker, size in SIZE.findall(client.get("/metrics").text)}


def _reading(serve: Serve, fits: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """Return the first reading that fits: the next one may be another worker's, which knows something else."""
    deadline = time.monotonic() + PATIENCE
    while not fits(sizes := _sizes(serve)):
        assert time.monotonic() < deadline, sizes
        time.sleep(0.05)
    return sizes


def _met(serve: Serve, known: set[str], count: int) -> dict[str, int]:
    """Return what so many workers tell that nobody knew, when they are first met together."""
    sizes = _reading(serve, lambda sizes: len(sizes.keys() - known) == count)
    return {worker: size for worker, size in sizes.items() if worker not in known}


async def _change(url: str, run: str, name: str, value: str) -> float:
    """Change a setting as an instance beside the others would; return when it was stored."""
    client = telemetry_client(url, timeout=5)
    try:
        overrides = Overrides(client, run)
        await overrides.look()
        async with asyncio.timeout(PATIENCE):
            while not overrides.settled:
                await asyncio.sleep(0.2)
                await overrides.look()
        change = Change(1, time.time(), name, "", value)
        document = overrides.document
        changed = msgspec.structs.replace(document, values={**document.values, name: value}, changes=(change,))
        assert await overrides.replace(changed if document.changes else Document({name: value}, (change,)))
        return time.monotonic()
    finally:
        await client.aclose()


def test_a_change_reaches_both_workers_and_a_replacement_and_ends_with_the_fleet(serve: Serve) -> None:
    """Two workers take it up; one that is killed is followed by one that has it; a restart on the same Redis has not."""
    redis = start_redis()
    try:
        serve.start(REDIS_URL=redis.url)
        _reading(serve, lambda sizes: list(sizes.values()) == [10, 10])
        asyncio.run(_change(redis.url, "beside", "pool_size", "2"))
        before = _reading(serve, lambda sizes: list(sizes.values()) == [1, 1])
        victim = serve.workers()[0]
        victim.send_signal(signal.SIGKILL)
        replacement = _met(serve, set(before), 1)
        assert set(replacement.values()) == {1}
        assert serve.stop() == 0
        serve.start(REDIS_URL=redis.url)
        time.sleep(3)  # in which whoever would take it up does
        assert set(_met(serve, {*before, *replacement}, 2).values()) == {10}
    finally:
        serve.clean()
        redis.stop(5)
