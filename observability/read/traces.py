"""Kept traces of the fleet, read from their stream when somebody asks."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from observability.model import SnapshotError, decode_kept
from observability.model.kept import KEPT_FIELD, KEPT_KEY
from observability.read.detail import TraceFilter, TraceList
from observability.read.route import UNMATCHED
from observability.read.stream import newest_fields

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from observability.model import KeptTrace
    from observability.model.stream import Commands

MOST_OWN = 200
"""Traces of its own that a worker remembers for when Redis is away."""

MOST_READ = 2000
"""Entries that are read at most to answer."""

MOST_LISTED = 500

_PAGE = 50
_TIMEOUT = 1.0


class Traces:
    """Finds kept traces. Entries that are torn, foreign or of another version are passed over."""

    def __init__(self) -> None:
        self._own: deque[KeptTrace] = deque(maxlen=MOST_OWN)

    def hold(self, trace: KeptTrace) -> None:
        """Keep a trace of this worker's own."""
        self._own.append(trace)

    async def find(self, redis: Commands | None, wanted: TraceFilter, reason: str) -> TraceList:
        """Return those that match, newest first; this worker's own when the stream cannot be read, and why."""
        if redis is not None:
            try:
                return await _listed(_read(redis), wanted, "")
            except TimeoutError:
                reason = "Redis does not answer in time"
            except Exception as error:  # noqa: BLE001 - a handed-in client may raise anything; the reason is shown
                reason = f"Redis cannot be read ({type(error).__name__})"
        return await _listed(self._remembered(), wanted, reason)

    async def of(self, redis: Commands | None, trace_id: str) -> tuple[KeptTrace, ...]:
        """Return what was kept of a trace, by any worker, in the order in which its requests began."""
        found = {(one.worker, one.span_id): one for one in self._own if one.trace_id == trace_id}
        if redis is not None:
            try:
                async for one in _read(redis, trace_id.encode()):
                    if one.trace_id == trace_id:
                        found[one.worker, one.span_id] = one
            except Exception:  # noqa: BLE001, S110 - a handed-in client may raise anything; what is known is shown
                pass
        return tuple(sorted(found.values(), key=lambda one: one.started))

    async def _remembered(self) -> AsyncIterator[KeptTrace]:
        for trace in reversed(tuple(self._own)):
            yield trace


async def _read(redis: Commands, holding: bytes = b"") -> AsyncIterator[KeptTrace]:
    """Yield the stream's traces that hold these bytes, newest first. Raises whatever the client raises."""
    end = b"+"
    for _ in range(MOST_READ // _PAGE):
        async with asyncio.timeout(_TIMEOUT):
            entries = await newest_fields(redis, KEPT_KEY, KEPT_FIELD, _PAGE, end)
        for _, raw in entries:
            if holding in raw and (trace := _decoded(raw)) is not None:
                yield trace
        if len(entries) < _PAGE:
            return
        end = b"(" + entries[-1][0]
        await asyncio.sleep(0)


def _decoded(raw: bytes) -> KeptTrace | None:
    try:
        return decode_kept(raw)
    except SnapshotError:
        return None


async def _listed(known: AsyncIterator[KeptTrace], wanted: TraceFilter, reason: str) -> TraceList:
    most = max(1, min(wanted.limit, MOST_LISTED))
    found: list[KeptTrace] = []
    async for trace in known:
        if matches(trace, wanted):
            found.append(trace)
        if len(found) > most:
            break
    # They come in the order in which requests ended.
    found.sort(key=lambda trace: trace.started, reverse=True)
    return TraceList(tuple(found[:most]), len(found) > most, reason)


def matches(trace: KeptTrace, wanted: TraceFilter) -> bool:
    """Return whether a trace is asked for."""
    return (
        wanted.method in {"", trace.method}
        and wanted.route in {"", trace.route or UNMATCHED}
        and _is_status(trace.status, wanted.status)
        and wanted.why in {"", trace.why}
        and (wanted.least is None or trace.seconds >= wanted.least)
        and (wanted.most is None or trace.seconds <= wanted.most)
        and (wanted.since is None or trace.started >= wanted.since)
        and (wanted.until is None or trace.started <= wanted.until)
    )


def _is_status(status: int, wanted: str) -> bool:
    return not wanted or wanted in {str(status), f"{status // 100}xx"}
