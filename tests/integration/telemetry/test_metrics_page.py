"""GET /metrics: all workers of an instance, whichever is asked, through a real Redis; one alone without it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from observability.model import Slo, Snapshot
from observability.publish.instance import InstanceSnapshots
from observability.publish.stream import KEPT, StreamPublisher, newest_keys
from observability.record import Recorder
from observability.telemetry import Telemetry

if TYPE_CHECKING:
    import pytest

DURATION = "http_server_request_duration_seconds"


class _Worker:
    """A worker of an instance as far as its snapshots go, with a clock that is set by hand."""

    def __init__(self, name: str, redis: Any, clock: list[float], *, pid: int = 0, instance: str = "one") -> None:
        self.recorder = Recorder(instance=instance, worker=name, clock=lambda: clock[0])
        self.publisher = StreamPublisher(redis)
        self.latest = self.recorder.snapshot()
        self.instance = InstanceSnapshots(lambda: self.latest, lambda: clock[0])
        self.instance.connect(redis, self.publisher)
        self._pid = pid or os.getpid()

    async def work(self) -> None:
        """Answer a request, then publish."""
        self.recorder.requests.record("GET", "/me", 200, "", 0.01)
        self.latest = msgspec.structs.replace(self.recorder.snapshot(), pid=self._pid)
        await self.publisher.publish(self.latest)

    async def shows(self) -> tuple[dict[str, int], bool]:
        """Return how many requests of which workers are told of, and whether that is said to be all."""
        answer = await self.instance.read()
        return {s.worker: _count(s) for s in answer.snapshots}, answer.complete


def _count(snapshot: Snapshot) -> int:
    return sum(series.duration.count for series in snapshot.requests)


async def test_every_worker_tells_of_all(redis: Any) -> None:
    """Two workers of an instance tell the same, and nothing of another instance."""
    clock = [time.time()]
    one, two = _Worker("a", redis, clock), _Worker("b", redis, clock)
    for worker in (one, one, two, _Worker("c", redis, clock, instance="other")):
        await worker.work()
    assert await one.shows() == await two.shows() == ({"a": 2, "b": 1}, True)


async def test_a_worker_is_told_of_before_its_first_request(redis: Any) -> None:
    """By itself and by its siblings, from the moment on that its telemetry has started."""
    workers = [Telemetry(service="x", version="1", instance="one", slo=Slo(), environment={}) for _ in range(2)]
    for worker in workers:
        await worker.start(redis)
        started = workers[: workers.index(worker) + 1]
        for asked in started:
            answer = await asked.instance.read()
            assert {s.worker for s in answer.snapshots} == {one.recorder.worker for one in started}
            assert answer.complete
    for worker in reversed(workers):
        await worker.stop()


async def test_what_a_worker_counted_last_outlives_it(redis: Any) -> None:
    """A worker that ended is told of for a while; one that runs and is silent is left out, and that is said."""
    clock = [time.time()]
    ended = subprocess.Popen([sys.executable, "-c", ""])  # noqa: ASYNC220 - only its number matters
    ended.wait()
    one, gone, mute = _Worker("a", redis, clock), _Worker("b", redis, clock, pid=ended.pid), _Worker("c", redis, clock)
    for worker in (one, gone, mute):
        await worker.work()
    clock[0] += 10
    await one.work()
    assert await one.shows() == ({"a": 2, "b": 1}, False)
    await mute.work()
    assert await one.shows() == ({"a": 2, "b": 1, "c": 2}, True)


async def test_the_last_words_of_a_worker_are_forgotten_in_time(redis: Any) -> None:
    """Of workers that come and go nothing is kept for ever."""
    clock = [time.time()]
    one = _Worker("a", redis, clock)
    snapshots, came = newest_keys("one")
    await redis.hset(snapshots, "old", b"whatever it said")
    await redis.zadd(came, {"old": clock[0] - KEPT - 60})
    await one.work()
    assert await redis.hkeys(snapshots) == [b"a"]
    assert await redis.zrange(came, 0, -1) == [b"a"]
    assert 0 < await redis.ttl(snapshots) <= KEPT


async def test_a_worker_is_never_shown_with_less_than_before(
    redis_server: Any, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis freezes: a worker goes on with what it published, then with what it has; thawed, others catch up first."""
    clock = [time.time()]
    one, two = _Worker("a", redis, clock), _Worker("b", redis, clock)
    await one.work()
    await two.work()
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(one.publisher, "_timeout", 0.2)
            patch.setattr("observability.publish.instance._TIMEOUT", 0.2)
            await one.work()
            assert await one.shows() == ({"a": 1}, False)
            clock[0] += 4
            assert await one.shows() == ({"a": 2}, False)
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    await two.work()
    assert await two.shows() == ({"b": 2}, False)
    await one.work()
    assert (await two.shows())[0]["a"] >= 2


async def test_the_page_of_a_served_site(redis: Any, serve: Any) -> None:
    """From socket to parser: requests to an application are in the page of its telemetry."""
    telemetry = Telemetry(service="shop", version="1", instance="one", slo=Slo(), environment={})
    async with serve(telemetry.recorder, telemetry.protocol, telemetry.metrics_page()) as site:
        await telemetry.start(redis)
        await site.exchange(site.get("/users/1"))
        await site.settled(1)
        await telemetry._publish()
        page = await site.exchange(site.get("/metrics"))
        proxied = await site.exchange(site.get("/metrics", "X-Forwarded-For: 192.0.2.1"))
        await telemetry.stop()
    head, _, body = page.decode().partition("\r\n\r\n")
    assert "text/plain; version=0.0.4" in head
    families = {family.name: family for family in text_string_to_metric_families(body)}
    counts = [s for s in families[DURATION].samples if s.name.endswith("_count") and s.labels["http_route"] != ""]
    assert [(s.labels["http_route"], s.labels["worker"], s.value) for s in counts] == [
        ("/users/{user_id}", telemetry.recorder.worker, 1)
    ]
    assert families["target_info"].samples[0].labels["service_name"] == "shop"
    assert b"404" in proxied.partition(b"\r\n")[0]
