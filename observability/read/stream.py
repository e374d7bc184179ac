"""Entries of the fleet's streams, as whichever client returns them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from observability.model import Snapshot, SnapshotError, decode_snapshot
from observability.model.stream import STREAM_FIELD, Commands

Entry = tuple[bytes, Any]
"""An entry's id, and its fields, in which ``snapshot_in`` finds the snapshot."""


async def read_entries(redis: Commands, key: str, start: bytes, count: int, end: bytes = b"+") -> list[Entry]:
    """Return up to ``count`` entries from id ``start`` to ``end`` ("(" excludes it); raise whatever the client raises."""
    reply: Iterable[Any] = await redis.execute_command("XRANGE", key, start, end, "COUNT", count)
    return [(_identity(name), fields) for name, fields in reply or ()]


def snapshot_in(fields: Any) -> Snapshot | None:
    """Return an entry's snapshot; None when it is torn, foreign or of another version."""
    try:
        return decode_snapshot(_pairs(fields)[STREAM_FIELD])
    except (KeyError, TypeError, SnapshotError):
        return None


async def count_entries(redis: Commands, key: str, start: bytes, most: int) -> int:
    """Return how many entries there are from the id ``start`` on, ``most`` at most; raise whatever the client raises."""
    reply: Sequence[Any] = await redis.execute_command("XRANGE", key, start, b"+", "COUNT", most)
    return len(reply or ())


async def newest_fields(
    redis: Commands, key: str, field: bytes, count: int, end: bytes = b"+"
) -> list[tuple[bytes, bytes]]:
    """Return the ids and one field of up to ``count`` entries before ``end``, newest first; b"" where there is no such field."""
    reply: Iterable[Any] = await redis.execute_command("XREVRANGE", key, end, b"-", "COUNT", count)
    return [(_identity(name), _pairs(fields).get(field, b"")) for name, fields in reply or ()]


def _identity(name: Any) -> bytes:
    return name if isinstance(name, bytes) else str(name).encode()


def _pairs(fields: Any) -> Mapping[bytes, bytes]:
    # redis-py makes a dict of the fields; the protocol itself gives a flat list of names and values.
    return fields if isinstance(fields, Mapping) else dict(zip(fields[::2], fields[1::2], strict=False))
