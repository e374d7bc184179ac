"""The feed: read once a second however many look, and never silent about what it does not know."""

from __future__ import annotations

import asyncio
from typing import Any

from observability.model import SNAPSHOT_VERSION, Slo, Snapshot, encode_snapshot
from observability.model.stream import COARSE_KEY, STREAM_FIELD, STREAM_KEY
from observability.read.store import FleetStore


class Stream:
    """A stream in memory that counts how often it is read for entries (fifty at a time)."""

    def __init__(self) -> None:
        self.entries: list[tuple[bytes, dict[bytes, bytes]]] = []
        self.coarse: list[tuple[bytes, dict[bytes, bytes]]] = []
        self.reads = 0
        self.broken = False

    def add(self, snapshot: Snapshot) -> None:
        """Append an entry whose id is its time."""
        self.entries.append((b"%d-0" % int(snapshot.taken * 1000), {STREAM_FIELD: encode_snapshot(snapshot)}))

    async def execute_command(self, *args: Any) -> Any:
        """Answer XRANGE key start end COUNT n, and that there is no board."""
        if args[0] == "GET":
            return None
        _, key, first, last, _, count = args
        self.reads += count == 50 and key == STREAM_KEY
        await asyncio.sleep(0)
        if self.broken:
            raise ConnectionError("gone")
        low, high = _number(first), 10**15 if last == b"+" else _number(last) - last.startswith(b"(")
        entries = self.coarse if key == COARSE_KEY else self.entries
        low += first.startswith(b"(")
        return [entry for entry in entries if low <= _number(entry[0]) <= high][:count]


def _number(identity: bytes) -> int:
    return int(identity.removeprefix(b"(").partition(b"-")[0])


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 10_000.0

    def __call__(self) -> float:
        """Return what it was set to."""
        return self.now


def snapshot(worker: str, taken: float) -> Snapshot:
    """Return an empty snapshot."""
    return Snapshot(SNAPSHOT_VERSION, "here", worker, 1, 0.0, taken)


def _store(stream: Stream | None, clock: Clock) -> FleetStore:
    store = FleetStore(slo=Slo(), clock=clock)
    store.connect(stream)
    return store


async def test_many_viewers_cost_one_read() -> None:
    """Fifty simultaneous looks in one second read the stream once."""
    stream, clock = Stream(), Clock()
    stream.add(snapshot("w", clock.now))
    store = _store(stream, clock)
    views = await asyncio.gather(*(store.view() for _ in range(50)))
    await store.series()
    assert stream.reads == 1
    assert all(view is views[0] for view in views)
    clock.now += 1
    await store.view()
    assert stream.reads == 2


async def test_a_late_console_backfills() -> None:
    """A store that starts late shows the five minutes before it, and of each second once."""
    stream, clock = Stream(), Clock()
    for second in range(400, 0, -1):
        stream.add(snapshot("w", clock.now - second))
    store = _store(stream, clock)
    series = await store.series()
    assert series.at == tuple(range(int(clock.now) - 300, int(clock.now)))
    assert await store.series(since=float(series.at[-1])) == type(series)()
    assert (await store.series(seconds=5)).at == series.at[-5:]


async def test_only_news_is_read() -> None:
    """The second read begins after the last entry of the first."""
    stream, clock = Stream(), Clock()
    store = _store(stream, clock)
    for _ in range(3):
        stream.add(snapshot("w", clock.now))
        await store.view()
        clock.now += 1
    assert store.ignored == 0
    assert (await store.view()).workers[0].age == 1


async def test_a_broken_stream_shows_this_worker() -> None:
    """When the stream breaks the view is this worker's own and says why; when it mends the fleet is back."""
    stream, clock = Stream(), Clock()
    stream.add(snapshot("other", clock.now))
    store = _store(stream, clock)
    stream.broken = True
    store.hold(snapshot("own", clock.now))
    view = await store.view()
    assert (view.scope, [w.worker for w in view.workers]) == ("worker", ["own"])
    assert "ConnectionError" in view.reason
    stream.broken = False
    clock.now += 1
    view = await store.view()
    assert (view.scope, [w.worker for w in view.workers]) == ("fleet", ["other"])


async def test_a_stream_that_nobody_writes_to_shows_this_worker() -> None:
    """A stream that can be read and has no news for ten seconds is no fleet."""
    stream, clock = Stream(), Clock()
    store = _store(stream, clock)
    store.hold(snapshot("own", clock.now))
    view = await store.view()
    assert view.scope == "worker"
    assert "10 seconds" in view.reason


async def test_without_redis_the_feed_says_so() -> None:
    """A store without a client knows this worker alone."""
    view = await _store(None, Clock()).view()
    assert (view.scope, view.reason, view.age) == ("worker", "Redis is not connected", None)
