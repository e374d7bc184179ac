"""Snapshots through a real Redis: the fleet is the exact sum of its workers, and one worker without Redis."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from observability.model import Slo, encode_snapshot
from observability.model.stream import STREAM_FIELD, STREAM_KEY
from observability.publish.stream import MOST_AGE, StreamPublisher
from observability.read.store import FleetStore
from observability.record import Recorder
from observability.record.redis import sample_redis
from observability.telemetry import Telemetry

SLO = Slo()


def worked(name: str, requests: int) -> Recorder:
    """Return a recorder that counted some requests and lookups."""
    recorder = Recorder(instance=name)
    for n in range(requests):
        recorder.requests.record("GET", "/plain", 200, "", 0.01 + n / 10_000)
    recorder.requests.record("GET", "/plain", 503, "pool_timeout", 0.5)
    recorder.cache("session").hits += requests
    return recorder


async def test_two_workers_are_summed_exactly(redis: Any) -> None:
    """What two workers published is read as the sum of what each counted."""
    store = FleetStore(slo=SLO)
    store.connect(redis)
    for recorder in (worked("one", 30), worked("two", 70)):
        assert await StreamPublisher(redis).publish(recorder.snapshot())
    view = await store.view()
    assert (view.scope, view.reason) == ("fleet", "")
    assert {(r.method, r.route, r.latency.count, r.errors) for r in view.routes} == {("GET", "/plain", 102, 2)}
    assert [(c.family, c.hits) for c in view.caches] == [("session", 100)]
    assert {w.instance for w in view.workers} == {"one", "two"}


async def test_the_stream_expires(redis: Any) -> None:
    """Each snapshot is one entry, and the stream expires when nobody writes to it."""
    publisher = StreamPublisher(redis)
    recorder = worked("one", 10)
    for _ in range(3):
        await publisher.publish(recorder.snapshot())
    assert await redis.xlen(STREAM_KEY) == 3
    assert 0 < await redis.ttl(STREAM_KEY) <= MOST_AGE
    assert (publisher.sent, publisher.failed) == (3, 0)


async def test_an_entry_past_its_age_is_trimmed(redis: Any) -> None:
    """Entries older than the oldest allowed go when the next snapshot comes."""
    raw = encode_snapshot(worked("old", 10).snapshot()) * 20
    for n in range(1, 50):
        await redis.xadd(STREAM_KEY, {STREAM_FIELD: raw}, id=f"{n}-0")
    await StreamPublisher(redis).publish(worked("one", 10).snapshot())
    assert await redis.xlen(STREAM_KEY) < 10


async def test_foreign_entries_are_ignored_and_counted(redis: Any) -> None:
    """Torn bytes, another version and other fields change no figure."""
    await redis.xadd(STREAM_KEY, {STREAM_FIELD: b"\x93torn"})
    await redis.xadd(STREAM_KEY, {"other": b"field"})
    await redis.xadd(
        STREAM_KEY, {STREAM_FIELD: encode_snapshot(worked("x", 5).snapshot()).replace(b"\x01", b"\x7f", 1)}
    )
    await StreamPublisher(redis).publish(worked("one", 10).snapshot())
    store = FleetStore(slo=SLO)
    store.connect(redis)
    view = await store.view()
    assert store.ignored == 3
    assert view.latency.count == 11


async def test_redis_figures_are_read_from_the_server(redis: Any) -> None:
    """INFO of a real server gives its run id, hits, misses, memory and policy."""
    await redis.set("k", "v")
    await redis.get("k")
    await redis.get("absent")
    sample = await sample_redis(redis)
    assert sample is not None
    assert len(sample.run_id) == 40
    assert (sample.hits, sample.misses) == (1, 1)
    assert sample.memory_used > 0
    assert sample.policy == "volatile-lru"


async def test_without_redis_a_worker_shows_itself(redis_server: Any, redis: Any) -> None:
    """Redis killed: the view falls back to this worker within a read's timeout, says why, and publishing never raises."""
    recorder = worked("one", 30)
    publisher = StreamPublisher(redis)
    now = time.time()
    store = FleetStore(slo=SLO, clock=lambda: now)
    store.connect(redis)
    await publisher.publish(worked("two", 70).snapshot())
    assert (await store.view()).latency.count == 71
    os.kill(redis_server.pid, signal.SIGKILL)
    now += 1
    store.hold(recorder.snapshot())
    assert not await publisher.publish(recorder.snapshot())
    view = await store.view()
    assert view.scope == "worker"
    assert "Redis" in view.reason
    assert view.latency.count == 31
    assert publisher.failed == 1


async def test_a_served_site_shows_in_the_feed(redis: Any, serve: Any) -> None:
    """From socket to view: requests to a served application are in the feed of its telemetry, console routes are not."""
    telemetry = Telemetry(service="test", version="1", instance="one", slo=SLO, environment={}, internal=("/plain",))
    async with serve(telemetry.recorder, telemetry.protocol) as site:
        await telemetry.start(redis)
        for path in ("/users/1", "/users/2", "/plain"):
            await site.exchange(site.get(path))
        await site.settled(3)
        await telemetry.stop()
    reader = FleetStore(slo=SLO, internal=("/plain",))
    reader.connect(redis)
    view = await reader.view()
    assert [(r.route, r.latency.count) for r in view.routes] == [("/users/{user_id}", 2)]


async def test_disabled_telemetry_says_so() -> None:
    """OTEL_SDK_DISABLED=true: nothing is hooked or started, and the feed says that telemetry is off."""
    telemetry = Telemetry(
        service="test", version="1", instance="one", slo=SLO, environment={"OTEL_SDK_DISABLED": "true"}
    )
    await telemetry.start(None)
    view = await telemetry.feed.view()
    await telemetry.stop()
    assert not telemetry.enabled
    assert not hasattr(telemetry.protocol, "recorder")
    assert "telemetry is off" in view.reason
    assert (await telemetry.feed.series()).at == ()
