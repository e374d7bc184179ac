"""The feed: read once a second however many look, and never silent about what it does not know."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import msgspec

from observability.model import (
    SNAPSHOT_VERSION,
    Anatomy,
    Band,
    Distribution,
    Operation,
    RouteCounts,
    Slo,
    Snapshot,
    decode_snapshot,
    encode_snapshot,
)
from observability.model.stream import COARSE_KEY, STREAM_FIELD, STREAM_KEY
from observability.read.detail import Period
from observability.read.ledger import Ledger
from observability.read.store import FleetStore
from observability.record import Recorder


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


class Worker:
    """A worker that answers one request a second, and what it leaves in both streams."""

    def __init__(self, stream: Stream, now: float) -> None:
        self.stream = stream
        self.now = now
        self.recorder = Recorder(instance="here", clock=lambda: self.now)

    def work(self, until: float, *, fine_from: float) -> None:
        """Work on until a time; the fine stream keeps what comes later than ``fine_from``."""
        while self.now < until:
            self.now += 1
            self.recorder.requests.record("GET", "/a", 200, "", 0.01)
            said = self.recorder.snapshot()
            if self.now % 10 == 0:
                self.stream.coarse.append((b"%d-0" % int(self.now * 1000), {STREAM_FIELD: encode_snapshot(said)}))
            if self.now > fine_from:
                self.stream.add(said)


async def test_a_late_console_has_the_hour() -> None:
    """The hour before comes from the coarse stream, the last minutes from the fine one, and nothing counts twice."""
    stream, clock = Stream(), Clock()
    clock.now = 100_000.0
    Worker(stream, clock.now - 3595).work(clock.now, fine_from=clock.now - 400)
    store = _store(stream, clock)
    series = await store.series(seconds=3600, step=10)
    assert series.at == tuple(range(int(clock.now) - 3590, int(clock.now), 10))
    assert set(series.rate) == {1.0}
    assert set((await store.series(seconds=3600, step=60)).rate) == {1.0}
    assert (await store.series(seconds=3600, step=7)).at == series.at
    assert set((await store.series()).rate) == {1.0}


async def test_a_short_stream_of_seconds_is_joined_to_the_hour() -> None:
    """Where single seconds reach back less far, tens of seconds go on to there, and no second shows ten of them."""
    stream, clock = Stream(), Clock()
    Worker(stream, clock.now - 1000).work(clock.now, fine_from=clock.now - 105)
    store = _store(stream, clock)
    assert set((await store.series(seconds=3600, step=10)).rate) == {1.0}
    seconds = await store.series()
    assert set(seconds.rate) == {1.0}
    assert 100 <= len(seconds.at) <= 105


async def test_who_did_not_look_for_long_misses_nothing() -> None:
    """What happened while nobody looked is read from the coarse stream when somebody looks again."""
    stream, clock = Stream(), Clock()
    worker = Worker(stream, clock.now - 100)
    worker.work(clock.now, fine_from=0)
    store = _store(stream, clock)
    await store.view()
    clock.now += 1000
    worker.work(clock.now, fine_from=clock.now - 400)
    series = await store.series(seconds=1100, step=10)
    assert len(series.at) == 109
    assert set(series.rate) == {1.0}


async def test_a_clock_far_ahead_is_not_believed() -> None:
    """A snapshot of a time that is yet to come does not push the present out."""
    stream, clock = Stream(), Clock()
    stream.add(snapshot("w", clock.now))
    stream.entries.append((b"%d-1" % int(clock.now * 1000), {STREAM_FIELD: encode_snapshot(snapshot("v", 1e9))}))
    store = _store(stream, clock)
    assert [w.worker for w in (await store.view()).workers] == ["w"]
    assert store.ignored == 1


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


async def test_own_snapshots_wait_until_they_are_wanted() -> None:
    """When the stream breaks, this worker's last minute is there by the second, and what was before by tens."""
    stream, clock = Stream(), Clock()
    recorder = Recorder(instance="here", worker="own", clock=clock)
    store = _store(stream, clock)
    for _ in range(200):
        clock.now += 1
        recorder.requests.record("GET", "/a", 200, "", 0.01)
        store.hold(recorder.snapshot())
    stream.broken = True
    view = await store.view()
    assert view.scope == "worker"
    assert [row.rate for row in view.routes] == [1.0]
    assert set((await store.series(seconds=50)).rate) == {1.0}
    tens = (await store.series(seconds=200, step=10)).rate
    assert len(tens) > 15
    assert set(tens[2:]) == {1.0}


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


def _busy(second: int, taken: float) -> Snapshot:
    """Return what a worker says that has done the same in each of ``second`` seconds: forty series, their anatomy, twenty queries."""
    done = Distribution(-160, (second,) * 60, 0.3 * second)
    bands = tuple(Band(index, 8 * second, 0.1 * second, (0.01 * second,) * 6) for index in range(-20, -12))
    routes = [f"/route/{number}" for number in range(20)]
    return msgspec.structs.replace(
        snapshot("w", taken),
        requests=tuple(RouteCounts("GET", route, status, "", done) for route in routes for status in (200, 503)),
        anatomy=tuple(Anatomy("GET", route, bands) for route in routes),
        operations=tuple(Operation("postgresql", f"query {number}", done) for number in range(20)),
    )


async def test_an_hour_that_is_looked_at_holds_nobody_up() -> None:
    """While an hour is read, added up and drawn, no step of the loop takes half as long as a batch of the stream does."""
    stream, clock = Stream(), Clock()
    clock.now = 100_000.0
    for second in range(1, 3600):
        taken = clock.now - 3600 + second
        if second % 10 == 0:
            entry = (b"%d-0" % int(taken * 1000), {STREAM_FIELD: encode_snapshot(_busy(second, taken))})
            stream.coarse.append(entry)
        if second > 3200:
            stream.add(_busy(second, taken))
    steps: list[float] = []

    async def watch() -> None:
        while True:
            before = time.thread_time()  # not of others on the machine, nor of what collects other tests' garbage
            await asyncio.sleep(0)
            steps.append(time.thread_time() - before)

    gc.disable()
    watching = asyncio.create_task(watch())
    try:
        store = _store(stream, clock)
        while (await store.view()).scope != "fleet":  # a slow machine reads on at the next look
            clock.now += 1
        await asyncio.gather(
            store.view(3600),
            store.series(),
            store.stores(Period(3600)),
            store.route("GET", "/route/1", Period(300)),
        )
        watching.cancel()
        ledger, before = Ledger(), time.thread_time()
        for _, fields in stream.entries[:50]:
            ledger.ingest(decode_snapshot(fields[STREAM_FIELD]))
        batch = time.thread_time() - before
    finally:
        gc.enable()
    assert max(steps) < batch / 2
    assert set((await store.series(seconds=3600, step=10)).rate[1:-3]) == {40 * 60}
