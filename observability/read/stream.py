"""Entries of the fleet's stream, as whichever client returns them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from observability.model import Snapshot, SnapshotError, decode_snapshot
from observability.model.stream import STREAM_FIELD, Commands

Entry = tuple[bytes, Snapshot | None]
"""An entry's id, and its snapshot unless it is torn, foreign or of another version."""


async def read_entries(redis: Commands, key: str, start: bytes, count: int, end: bytes = b"+") -> list[Entry]:
    """Return up to ``count`` entries from id ``start`` to ``end`` ("(" excludes it); raise whatever the client raises."""
    reply: Iterable[Any] = await redis.execute_command("XRANGE", key, start, end, "COUNT", count)
    return [_entry(*item) for item in reply or ()]


async def count_entries(redis: Commands, key: str, start: bytes, most: int) -> int:
    """Return how many entries there are from the id ``start`` on, ``most`` at most; raise whatever the client raises."""
    reply: Sequence[Any] = await redis.execute_command("XRANGE", key, start, b"+", "COUNT", most)
    return len(reply or ())


def _entry(name: Any, fields: Any) -> Entry:
    identity = name if isinstance(name, bytes) else str(name).encode()
    # redis-py makes a dict of the fields; the protocol itself gives a flat list of names and values.
    pairs = fields if isinstance(fields, Mapping) else dict(zip(fields[::2], fields[1::2], strict=False))
    try:
        return identity, decode_snapshot(pairs[STREAM_FIELD])
    except (KeyError, TypeError, SnapshotError):
        return identity, None
