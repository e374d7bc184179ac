"""The event stream: once a second what changed on a page, and the chart columns since the last event.

Viewers who ask the same of the same page share a channel: one ticker looks and renders for all of them; it starts with
the first and stops with the last. A viewer that keeps up is sent bytes that were encoded once; one that comes, resumes or
lags is sent all parts and the columns after the last second that it has. Format: server-sent events, WHATWG HTML section 9.2.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from console.pages.page import NothingThere

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from console.pages.page import Ask, Columns, Page
    from console.rendering import Renderer

MOST_VIEWERS = 32
"""Open streams a process; one more is answered 503 and tries again later."""

_HEARTBEAT = b": nothing new\n\n"
_OFFSET = 0.2
"""Snapshots are taken on whole seconds; looking a little later finds the one just taken."""

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


class TooManyViewers(Exception):
    """Every stream that this process allows is open."""


class Beat(msgspec.Struct, frozen=True):
    """One tick. ``event`` is what a viewer in step is sent: one that saw the tick before and has the columns to ``since``.

    ``parts`` is None when the look failed: viewers are then sent a comment, so that they know the stream lives, and
    the next good tick carries everything.
    """

    number: int
    since: int = 0
    upto: int = 0
    event: bytes = _HEARTBEAT
    parts: Mapping[str, str] | None = None
    data: Mapping[str, Any] = {}


class Channel:
    """What one page shows to all who ask the same of it."""

    def __init__(self, page: Page, ask: Ask, renderer: Renderer, clock: Callable[[], float]) -> None:
        self._page = page
        self._ask = ask
        self._renderer = renderer
        self._clock = clock
        self._latest = Beat(number=0)
        self._turn = asyncio.Event()
        self._ticker = asyncio.create_task(self._tick(), name=f"console ticker of {page.name}")
        self._stopped = False
        self.viewers = 0

    def stop(self) -> None:
        """End every stream of it now."""
        self._stopped = True
        self._turn.set()
        self._ticker.cancel()

    async def events(self, since: int) -> AsyncGenerator[bytes]:
        """Give what a viewer is sent who has the columns up to ``since``, until the channel stops."""
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
        columns = await self._page.columns(self._ask, since)
        return encode(beat.parts or {}, beat.data, columns, max(since, beat.upto))

    async def _after(self, number: int) -> Beat | None:
        """Wait for a tick later than ``number``; None once the streams are to end."""
        while not self._stopped:
            if self._latest.number > number:
                return self._latest
            await self._turn.wait()
        return None

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
            parts, data = await self._renderer.live(self._page, self._ask)
            columns = await self._page.columns(self._ask, before.upto)
        except NothingThere:
            return Beat(number=before.number + 1, upto=before.upto)  # the page says so when it is loaded
        except Exception:  # noqa: BLE001 - whatever a host's feed raises, its viewers wait for the next tick
            _log.exception("the console could not look at its feed")
            return Beat(number=before.number + 1, upto=before.upto)
        upto = int(columns["at"][-1] or 0) if columns["at"] else before.upto
        event = encode(changed(before.parts or {}, parts), changed(before.data, data), columns, upto)
        return Beat(before.number + 1, before.upto, upto, event, parts, data)


class Broadcast:
    """The channels that anybody watches."""

    def __init__(self, renderer: Renderer, *, clock: Callable[[], float] = time.time) -> None:
        """Take what renders; start nothing."""
        self._renderer = renderer
        self._clock = clock
        self._channels: dict[tuple[str, Ask], Channel] = {}
        self._stopped = False

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return sum(channel.viewers for channel in self._channels.values())

    @property
    def channels(self) -> int:
        """How many pages are being looked at, each counted once for every way of asking."""
        return len(self._channels)

    def stop(self) -> None:
        """End every stream now and admit no more."""
        self._stopped = True
        for channel in self._channels.values():
            channel.stop()

    @asynccontextmanager
    async def viewer(self, page: Page, ask: Ask, since: int = 0) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Admit a viewer who has the columns up to ``since``; raise TooManyViewers past the bound."""
        if self._stopped or self.viewers >= MOST_VIEWERS:
            raise TooManyViewers
        key = (page.name, ask)
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel(page, ask, self._renderer, self._clock)
        channel.viewers += 1
        events = channel.events(since)
        try:
            yield events
        finally:
            await events.aclose()
            channel.viewers -= 1
            if not channel.viewers:
                channel.stop()
                del self._channels[key]  # old figures must not greet the next


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is not as it was."""
    return {name: value for name, value in after.items() if name not in before or before[name] != value}


def encode(parts: Mapping[str, str], data: Mapping[str, Any], columns: Columns, upto: int) -> bytes:
    """Write one event: the parts to replace, the columns to add, data that changed, and as its id the last second sent."""
    points = {name: _short(column) for name, column in columns.items()}
    written = _encoder.encode({"parts": parts, "points": points, "data": data})
    return b"id: %d\ndata: %b\n\n" % (upto, written)


def _short(column: Sequence[float | None]) -> list[float | None]:
    """Round to four significant digits, more than a chart can show, fewer than a tenth of the bytes of a float."""
    return [value if value is None or isinstance(value, int) else float(f"{value:.4g}") for value in column]
