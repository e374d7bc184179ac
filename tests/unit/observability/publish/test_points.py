"""A snapshot as OpenTelemetry metrics, by names and attributes of the conventions."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics.export import AggregationTemporality, Sum
from opentelemetry.sdk.resources import Resource

from observability.model import RedisServer
from observability.publish.points import metrics_of
from observability.record import Recorder


def _metrics(recorder: Recorder) -> dict[str, Any]:
    data = metrics_of(recorder.snapshot(), Resource({}))
    return {m.name: m for m in data.resource_metrics[0].scope_metrics[0].metrics}


def test_a_whole_worker_is_exported() -> None:
    """Requests, pool, cache, hashing, Redis and process all have their conventional names."""
    recorder = Recorder(instance="here")
    recorder.requests.record("GET", "/me", 503, "", 0.02)
    pool = recorder.pool("postgresql", 10)
    pool.opened = 4
    pool.enqueue()
    pool.lend(0.001)
    recorder.cache("session").hits += 3
    recorder.hashing(1, 16).refuse()
    recorder.redis = RedisServer(run_id="r", hits=7, evicted=2, memory_used=99)
    metrics = _metrics(recorder)
    point = metrics["http.server.request.duration"].data.data_points[0]
    assert point.attributes == {
        "http.request.method": "GET",
        "http.route": "/me",
        "http.response.status_code": 503,
        "error.type": "503",
    }
    states = {
        p.attributes["db.client.connection.state"]: p.value for p in _points(metrics, "db.client.connection.count")
    }
    assert states == {"used": 1, "idle": 3}
    hits = {p.attributes["result"]: p.value for p in _points(metrics, "gatewatch.cache.lookups")}
    assert hits == {"hit": 3, "miss": 0, "coalesced": 0, "error": 0}
    evicted = _points(metrics, "redis.keys.evicted")[0]
    assert (evicted.value, evicted.attributes) == (2, {"redis.run_id": "r"})
    assert _points(metrics, "gatewatch.hash.queue.refused")[0].value == 1


def test_sums_are_cumulative() -> None:
    """Every sum is cumulative, and starts when the worker did."""
    recorder = Recorder(instance="here", clock=lambda: 1000.0)
    sums = [m.data for m in _metrics(recorder).values() if isinstance(m.data, Sum)]
    assert sums
    assert {s.aggregation_temporality for s in sums} == {AggregationTemporality.CUMULATIVE}
    assert {p.start_time_unix_nano for s in sums for p in s.data_points} == {1000 * 10**9}


def _points(metrics: dict[str, Any], name: str) -> Any:
    return metrics[name].data.data_points
