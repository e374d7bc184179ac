"""The feed on a real Redis: kept traces, notes and what happened, the hour for who comes late, and all of it without Redis."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from observability.model import RouteTarget, Slo, encode_kept, encode_snapshot
from observability.model.kept import KEPT_FIELD, KEPT_KEY, KEPT_VERSION, KeptTrace
from observability.model.slo import QueryTarget
from observability.model.stream import COARSE_KEY, STREAM_FIELD, STREAM_KEY
from observability.read.detail import Annotation, Period, TraceFilter
from observability.read.notes import MOST_NOTES, NOTE_FIELD, NOTES_KEY, Notes
from observability.read.store import FleetStore
from observability.read.traces import MOST_READ
from observability.record import Recorder

if TYPE_CHECKING:
    from observability.model import Snapshot

SLO = Slo(
    route=(RouteTarget(name="a", method="GET", route="/a", p95_ms=100),),
    query=(QueryTarget(name="find", p95_ms=10), QueryTarget(name="unused", p95_ms=10)),
    fewest_samples=10,
)
NOW = float(int(time.time()) // 10 * 10 - 10)


def kept(number: int, **changes: Any) -> KeptTrace:
    """Return a kept trace; its number says when it started and how long it took."""
    trace = KeptTrace(
        version=KEPT_VERSION,
        trace_id=f"{number:032x}",
        span_id=f"{number:016x}",
        parent_id="",
        method="GET",
        route="/a",
        status=200,
        error="",
        why="slow",
        started=NOW + number / 1000,
        seconds=number / 1000,
        parts=(0.0,) * 6,
        instance="here",
        worker="w",
    )
    return msgspec.structs.replace(trace, **changes)


async def keep(redis: Any, *traces: KeptTrace) -> None:
    """Write traces as workers do."""
    async with redis.pipeline(transaction=False) as pipe:
        for trace in traces:
            pipe.xadd(KEPT_KEY, {KEPT_FIELD: encode_kept(trace)})
        await pipe.execute()


def connected(redis: Any, now: float = NOW) -> FleetStore:
    """Return a console's store that looks at the fleet at a time."""
    store = FleetStore(slo=SLO, clock=lambda: now)
    store.connect(redis)
    return store


async def test_traces_are_filtered_newest_first(redis: Any) -> None:
    """Every filter narrows, the limit says that there are more, and torn or foreign entries are passed over."""
    await keep(redis, *(kept(n) for n in range(1, 121)))
    await keep(
        redis,
        kept(500, status=503, why="failed"),
        kept(501, method="POST", route="/b", status=404, why="sampled"),
        kept(502, route="", status=404, why="asked"),
    )
    await redis.xadd(KEPT_KEY, {KEPT_FIELD: b"\x93torn"})
    await redis.xadd(KEPT_KEY, {"other": b"field"})
    await redis.xadd(KEPT_KEY, {KEPT_FIELD: encode_kept(kept(503, version=KEPT_VERSION + 1))})
    store = connected(redis)

    async def numbers(**wanted: Any) -> list[int]:
        return [int(trace.trace_id, 16) for trace in (await store.traces(TraceFilter(**wanted))).traces]

    assert await numbers(limit=500) == [502, 501, 500, *range(120, 0, -1)]
    first = await store.traces(TraceFilter(limit=3))
    assert (len(first.traces), first.more, first.reason) == (3, True, "")
    assert await numbers(status="5xx") == await numbers(why="failed") == await numbers(status="503") == [500]
    assert await numbers(method="POST") == await numbers(route="/b") == [501]
    assert await numbers(route="(unmatched)") == [502]
    assert await numbers(least=0.005, most=0.007) == [7, 6, 5]
    assert await numbers(since=NOW + 0.119, until=NOW + 0.2) == [120, 119]
    assert not (await store.traces(TraceFilter(route="/b"))).more


async def test_a_trace_of_two_workers_is_one(redis: Any) -> None:
    """All that was kept under a trace id is found, in the order in which it began, and nothing else."""
    await keep(redis, kept(1), kept(2, trace_id="a" * 32, worker="late"), kept(1, trace_id="a" * 32, worker="early"))
    store = connected(redis)
    assert [one.worker for one in await store.trace("a" * 32)] == ["early", "late"]
    assert await store.trace("b" * 32) == ()
    assert await store.trace("") == ()


async def test_looking_for_traces_is_bounded(redis: Any) -> None:
    """Of a stream that is longer than it should be only the newest are read."""
    await keep(redis, kept(9999), *(kept(n) for n in range(MOST_READ)))
    found = await connected(redis).traces(TraceFilter(least=9))
    assert (found.traces, found.more) == ((), False)


async def test_without_redis_a_worker_knows_its_own(redis: Any, redis_server: Any) -> None:
    """Redis killed: own traces and notes are shown, and why there are no others; telling a note does not raise."""
    store = connected(redis)
    await keep(redis, kept(1, worker="other"))
    store.hold_kept(kept(2))
    await store.note(Annotation(NOW, "setting", "pool size 20 to 1"))
    assert [one.worker for one in (await store.traces(TraceFilter())).traces] == ["other"]
    os.kill(redis_server.pid, signal.SIGKILL)
    await store.note(Annotation(NOW, "load", "a run"))
    found = await store.traces(TraceFilter(limit=50))
    assert [one.worker for one in found.traces] == ["w"]
    assert "Redis" in found.reason
    assert [one.worker for one in await store.trace(kept(2).trace_id)] == ["w"]
    assert [one.text for one in await store.annotations(Period(60))] == ["a run", "pool size 20 to 1"]


async def test_a_note_reaches_every_console(redis: Any) -> None:
    """What one worker notes another shows, once, oldest first, for an hour; foreign entries are passed over."""
    one, other = connected(redis), connected(redis)
    await redis.xadd(NOTES_KEY, {NOTE_FIELD: b"torn"})
    for at, text in ((NOW - 5, "second"), (NOW - 9, "first"), (NOW - 4000, "long ago")):
        await one.note(Annotation(at, "setting", text))
    for store in (one, other):
        assert [note.text for note in await store.annotations(Period(60))] == ["first", "second"]
    assert 0 < await redis.ttl(NOTES_KEY) <= 3600
    lasting = Annotation(NOW - 100, "load", "a run", until=NOW - 30)
    await other.note(lasting)
    assert lasting in await other.annotations(Period(60))
    assert lasting not in await other.annotations(Period(20))


class Hour:
    """A fleet of one instance whose workers answer ten requests and ask one query a second, and what both streams hold of it."""

    def __init__(self, redis: Any) -> None:
        self.redis = redis
        self.now = NOW - 3590

    async def live(self, worker: str, until: float, release: str) -> None:
        """Let a worker live from now until a time."""
        recorder = Recorder(instance="here", worker=worker, clock=lambda: self.now)
        entries: list[tuple[str, Snapshot]] = []
        while self.now < until:
            self.now += 1
            for _ in range(10):
                recorder.requests.record("GET", "/a", 200, "", 0.02)
            recorder.operations.of("postgresql", "find").done(0.004, 1)
            said = msgspec.structs.replace(recorder.snapshot(), release=release)
            entries += [(COARSE_KEY, said)] * (self.now % 10 == 0) + [(STREAM_KEY, said)] * (self.now > NOW - 315)
        async with self.redis.pipeline(transaction=False) as pipe:
            for key, said in entries:
                pipe.xadd(key, {STREAM_FIELD: encode_snapshot(said)}, id=f"{int(said.taken * 1000)}-*")
            await pipe.execute()


async def test_a_late_console_has_the_hour(redis: Any) -> None:
    """Who begins to look now sees routes, queries and happenings of the whole hour, and no request twice."""
    hour = Hour(redis)
    await hour.live("one", NOW - 1200, "1.0")
    await hour.live("two", NOW, "1.1")
    store = connected(redis, NOW)
    period = Period(3600)
    detail = await store.route("GET", "/a", period)
    assert detail is not None
    assert detail.rate == pytest.approx(10, rel=0.01)
    assert set(detail.columns.rate) == {10.0}
    assert {sum(column) for column in detail.heatmap.counts if column} == {100}
    find, unused = (await store.operations(period))[:2]
    assert (find.name, find.judgement) == ("find", "met")
    assert find.rate == pytest.approx(1, rel=0.01)
    assert (unused.name, unused.latency.count, unused.judgement) == ("unused", 0, "too few")
    happened = await store.annotations(period)
    assert [(one.kind, one.at) for one in happened] == [("deploy", NOW - 1200), ("worker", NOW - 1200)]
    assert "1.1" in happened[0].text
    stores = await store.stores(period)
    assert stores.at == detail.columns.at
    assert {round(p95, 4) for p95 in stores.sql_p95 if p95} == {0.004}
    assert (await store.view(3600)).rate == pytest.approx(10, rel=0.01)


async def test_notes_are_bounded(redis: Any) -> None:
    """However many and however long: whoever may change settings must not fill Redis with it."""
    notes = Notes()
    for n in range(MOST_NOTES + 300):
        await notes.add(redis, Annotation(NOW + n, "setting", "x" * 2000))
    assert await redis.execute_command("XLEN", NOTES_KEY) <= MOST_NOTES + 100  # Redis forgets by the hundred
    assert {len(note.text) for note in await notes.read(redis)} == {500}
