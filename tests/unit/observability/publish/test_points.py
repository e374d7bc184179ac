"""A snapshot as OpenTelemetry metrics, by names and attributes of the conventions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import AggregationTemporality, Sum
from opentelemetry.sdk.resources import Resource

from observability.model import (
    Anatomy,
    Band,
    BodySizes,
    Exemplar,
    Histogram,
    Kept,
    RedisServer,
    Runtime,
    Snapshot,
    decode_snapshot,
    encode_snapshot,
)
from observability.publish.points import PREFERENCES, metrics_of
from observability.record import Recorder


def _metrics(recorder: Recorder, *how: Any) -> dict[str, Any]:
    return _metrics_of(recorder.snapshot(), *how)


def _metrics_of(snapshot: Snapshot, *how: Any) -> dict[str, Any]:
    data = metrics_of(snapshot, Resource({}), *how)
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
        "url.scheme": "http",
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


@pytest.mark.parametrize(
    ("preference", "counts", "durations"), [("cumulative", 5, 3), ("delta", 2, 1), ("lowmemory", 5, 1)]
)
def test_differences_are_sent_where_they_are_preferred(preference: str, counts: int, durations: int) -> None:
    """Since the snapshot that was accepted last; levels are never differences."""
    now = [1000.0]
    recorder = Recorder(instance="here", clock=lambda: now[0])
    lookups, hashing = recorder.cache("session"), recorder.hashing(1, 16)
    lookups.hits = 3
    for seconds in (0.1, 0.2):
        recorder.requests.record("GET", "/me", 200, "", seconds)
    before = recorder.snapshot()
    now[0], lookups.hits = 1010.0, 5
    recorder.requests.record("GET", "/me", 200, "", 0.4)
    hashing.done(0.1, 0.5)
    snapshot = msgspec.structs.replace(recorder.snapshot(), active=(("GET", 4),))
    metrics = _metrics_of(snapshot, PREFERENCES[preference], before)
    (point,) = _points(metrics, "http.server.request.duration")
    assert (point.count, sum(point.positive.bucket_counts)) == (durations, durations)
    assert point.sum == pytest.approx(0.4 if durations == 1 else 0.7)
    assert (point.start_time_unix_nano, point.time_unix_nano) == (1000 * 10**9, 1010 * 10**9)
    assert _points(metrics, "gatewatch.hash.duration")[0].count == 1
    assert _points(metrics, "gatewatch.cache.lookups")[0].value == counts
    assert _points(metrics, "http.server.active_requests")[0].value == 4


def test_exemplars_go_out_with_their_point() -> None:
    """A kept trace is an example of its series; with differences, only one of the time that they are of."""
    recorder = Recorder(instance="here", clock=lambda: 1000.0)
    recorder.requests.record("GET", "/me", 200, "", 0.1)
    snapshot = recorder.snapshot()
    exemplar = Exemplar(0.1, "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1000.5)
    requests = (msgspec.structs.replace(snapshot.requests[0], exemplars=(exemplar,)),)
    snapshot = decode_snapshot(encode_snapshot(msgspec.structs.replace(snapshot, requests=requests, taken=1002.0)))
    encoded = encode_metrics(metrics_of(snapshot, Resource({}))).resource_metrics[0].scope_metrics[0].metrics
    (sent,) = encoded[0].exponential_histogram.data_points[0].exemplars
    assert (sent.trace_id.hex(), sent.span_id.hex(), sent.as_double) == (exemplar.trace_id, exemplar.span_id, 0.1)
    assert sent.time_unix_nano == 1000_500_000_000
    later = msgspec.structs.replace(snapshot, taken=1001.0)
    data = metrics_of(snapshot, Resource({}), PREFERENCES["delta"], later).resource_metrics[0].scope_metrics[0].metrics
    assert data[0].data.data_points[0].exemplars == []


@pytest.mark.parametrize(("preference", "well", "failed"), [("cumulative", 3, 1), ("delta", 1, 1)])
def test_operations_that_failed_are_apart(preference: str, well: int, failed: int) -> None:
    """Each kind of error has a point of its own, whose operations are not among those that went well."""
    recorder = Recorder(instance="here")
    queries = recorder.operations.queries("gatewatch", "db.internal", 5432)
    for _ in range(2):
        queries.done("user_by_email", "SELECT 1", 1.0, 1.5, rows=3)
    before = recorder.snapshot()
    queries.done("user_by_email", "SELECT 1", 1.0, 1.25, rows=1)
    queries.done("user_by_email", "SELECT 1", 1.0, 2.0, error="UniqueViolationError", code="23505")
    metrics = _metrics(recorder, PREFERENCES[preference], before)
    points = {p.attributes.get("error.type"): p for p in _points(metrics, "db.client.operation.duration")}
    assert {error: point.count for error, point in points.items()} == {None: well, "23505": failed}
    what = {"db.system.name": "postgresql", "db.namespace": "gatewatch", "db.query.summary": "user_by_email"}
    assert points[None].attributes == what
    assert points["23505"].attributes == {**what, "error.type": "23505", "db.response.status_code": "23505"}
    assert points["23505"].sum == pytest.approx(1.0)
    rows = _points(metrics, "gatewatch.db.client.operation.items")[0].value
    assert rows == (7 if preference == "cumulative" else 1)


def test_what_is_left_never_goes_back() -> None:
    """The seconds of operations that went well stand while others fail, however floats add up."""
    recorder = Recorder(instance="here")
    queries = recorder.operations.queries()
    queries.done("sleep", "SELECT 1", 0.0, 0.1)
    for _ in range(50):
        queries.done("sleep", "SELECT 1", 0.0, 0.1, error="TimeoutError")
        well = _points(_metrics(recorder), "db.client.operation.duration")[-1]
        assert (well.count, well.sum) == (1, 0.1)


def test_sizes_of_bodies_are_bytes() -> None:
    """They are recorded in MiB; each bucket still holds the bytes that it is about, and empty bodies are zeros."""
    sizes = [0, 0, 3, 20, 1000, 1500, 65_536, 70_000]
    histogram = Histogram()
    for size in sizes:
        histogram.record(size / 2**20)
    body = BodySizes("POST", "/auth/login", histogram.freeze(), Histogram().freeze())
    snapshot = msgspec.structs.replace(Recorder(instance="here").snapshot(), bodies=(body,))
    metrics = _metrics_of(snapshot)
    metric = metrics["http.server.request.body.size"]
    (point,) = metric.data.data_points
    assert (metric.unit, point.count, point.sum, point.zero_count) == ("By", 8, sum(sizes), 3)
    buckets = enumerate(point.positive.bucket_counts, point.positive.offset)
    found = [index for index, count in buckets for _ in range(count)]
    assert all(2 ** (n / 16) < size <= 2 ** ((n + 1) / 16) for n, size in zip(found, sizes[3:], strict=True))
    assert metrics["http.server.response.body.size"].data.data_points[0].count == 0


def test_the_process_is_told_of_by_the_conventions() -> None:
    """Collections by generation, threads, the time that requests spent waiting, and why traces were kept."""
    recorder = Recorder(instance="here")
    runtime = Runtime(threads=7, gc_collections=(30, 4, 1))
    anatomy = Anatomy("GET", "/me", (Band(-10, 2, 0.06, (0.0, 0.0, 0.0, 0.01, 0.02, 0.0)),))
    snapshot = msgspec.structs.replace(
        recorder.snapshot(), runtime=runtime, anatomy=(anatomy,), kept=Kept(slow=3), active=(("GET", 2),)
    )
    metrics = _metrics_of(snapshot)
    collections = {p.attributes["cpython.gc.generation"]: p.value for p in _points(metrics, "cpython.gc.collections")}
    assert collections == {0: 30, 1: 4, 2: 1}
    assert _points(metrics, "process.thread.count")[0].value == 7
    parts = {p.attributes["part"]: p.value for p in _points(metrics, "gatewatch.http.server.request.time")}
    assert parts["sql"] == 0.02
    assert sum(parts.values()) == pytest.approx(0.06)
    kept = {p.attributes["why"]: p.value for p in _points(metrics, "gatewatch.traces.kept")}
    assert kept == {"slow": 3, "failed": 0, "sampled": 0, "asked": 0}
    active = _points(metrics, "http.server.active_requests")[0]
    assert (active.value, active.attributes) == (2, {"http.request.method": "GET", "url.scheme": "http"})


def _points(metrics: dict[str, Any], name: str) -> Any:
    return metrics[name].data.data_points
