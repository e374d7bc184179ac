"""The event stream: once a second what changed on the page, and the chart points since the last event.

One ticker in a process looks and renders for every open tab; it starts with the first viewer and stops with the last.
A viewer that keeps up is sent bytes that were encoded once; one that comes, resumes or lags is sent all parts and the
points after the last second that it has. Format: server-sent events, WHATWG HTML section 9.2.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from console.pages import Pages, changed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from console.ports import Feed
    from observability.read.view import Series

MOST_VIEWERS = 32
"""Open streams a process; one more is answered 503 and tries again later."""

HISTORY = 300
"""Seconds of chart points that a page shows."""

_HEARTBEAT = b": nothing new\n\n"
_OFFSET = 0.2
"""Snapshots are taken on whole seconds; looking a little later finds the one just taken."""

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


class TooManyViewers(Exception):
    """Every stream that this process allows is open."""


class Beat(msgspec.Struct, frozen=True):
    """One tick. ``event`` is what a viewer in step is sent: one that saw the tick before and has the points to ``since``.

    ``parts`` is None when the look failed: viewers are then sent a comment, so that they know the stream lives, and
    the next good tick carries every part.
    """

    number: int
    since: int = 0
    upto: int = 0
    event: bytes = _HEARTBEAT
    parts: Mapping[str, str] | None = None


class Broadcast:
    """Looks once a second while anyone is watching, and tells all of them."""

    def __init__(self, feed: Feed, pages: Pages, *, clock: Callable[[], float] = time.time) -> None:
        """Take what to look at; start nothing."""
        self._feed = feed
        self._pages = pages
        self._clock = clock
        self._viewers = 0
        self._ticker: asyncio.Task[None] | None = None
        self._latest = Beat(number=0)
        self._turn = asyncio.Event()
        self._stopped = False

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return self._viewers

    @property
    def ticking(self) -> bool:
        """Whether anything is being looked at."""
        return self._ticker is not None

    def stop(self) -> None:
        """End every stream now and admit no more."""
        self._stopped = True
        self._turn.set()
        self._end_ticker()

    @asynccontextmanager
    async def viewer(self, since: int = 0) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Admit a viewer who has the seconds up to ``since``; raise TooManyViewers past the bound."""
        if self._stopped or self._viewers >= MOST_VIEWERS:
            raise TooManyViewers
        self._viewers += 1
        if self._ticker is None:
            self._ticker = asyncio.create_task(self._tick(), name="console ticker")
        events = self._events(since)
        try:
            yield events
        finally:
            await events.aclose()
            self._viewers -= 1
            if not self._viewers:
                self._end_ticker()

    async def _events(self, since: int) -> AsyncGenerator[bytes]:
        seen = 0
        while (beat := await self._after(seen)) is not None:
            in_step = seen == beat.number - 1 and since == beat.since
            seen = beat.number
            if beat.parts is None:
                yield _HEARTBEAT
                continue
            yield beat.event if in_step else await self._whole(beat, since)
            since = max(since, beat.upto)

    async def _whole(self, beat: Beat, since: int) -> bytes:
        """Encode everything for a viewer who is not in step."""
        points = await self._feed.series(since=since, seconds=HISTORY)
        return encode(beat.parts or {}, points, max(since, beat.upto))

    async def _after(self, number: int) -> Beat | None:
        """Wait for a tick later than ``number``; None once the streams are to end."""
        while not self._stopped:
            if self._latest.number > number:
                return self._latest
            await self._turn.wait()
        return None

    def _end_ticker(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
            self._latest = Beat(number=0)  # nobody is left to compare with, and old figures must not greet the next

    async def _tick(self) -> None:
        while True:
            self._publish(await self._beat())
            now = self._clock()
            await asyncio.sleep(1 - (now - _OFFSET) % 1)

    def _publish(self, beat: Beat) -> None:
        self._latest = beat
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    async def _beat(self) -> Beat:
        """Look and render once. A look that fails costs this tick only: it is logged, and the next is tried."""
        before = self._latest
        try:
            parts = self._pages.parts(await self._pages.look())
            points = await self._feed.series(since=before.upto, seconds=HISTORY)
        except Exception:  # noqa: BLE001 - whatever a host's feed raises, its viewers wait for the next tick
            _log.exception("the console could not look at its feed")
            return Beat(number=before.number + 1, upto=before.upto)
        upto = points.at[-1] if points.at else before.upto
        event = encode(changed(before.parts or {}, parts), points, upto)
        return Beat(number=before.number + 1, since=before.upto, upto=upto, event=event, parts=parts)


def encode(parts: Mapping[str, str], points: Series, upto: int) -> bytes:
    """Write one event: the parts to replace, the points to add, and as its id the last second sent."""
    columns = {name: _short(getattr(points, name)) for name in points.__struct_fields__}
    data = _encoder.encode({"parts": parts, "points": columns})
    return b"id: %d\ndata: %b\n\n" % (upto, data)


def _short(column: tuple[float | None, ...]) -> list[float | None]:
    """Round to four significant digits, more than a chart can show, fewer than a tenth of the bytes of a float."""
    return [value if value is None or isinstance(value, int) else float(f"{value:.4g}") for value in column]
