"""Snapshots as Prometheus reads them, read back by the parsers of its own client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from observability.model import BodySizes, Exemplar, Histogram, RedisServer
from observability.publish.prometheus import Answer, exposition_of
from observability.record import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric
    from prometheus_client.samples import Sample

DURATION = "http_server_request_duration_seconds"
BOUNDS = (0.1, 0.15, 0.2)


def worked(worker: str, *durations: float) -> Recorder:
    """Return a recorder that counted requests of these seconds and one that failed."""
    recorder = Recorder(instance="here", worker=worker, bounds=BOUNDS, clock=lambda: 1000.0)
    for seconds in durations:
        recorder.requests.record("GET", "/me", 200, "", seconds)
    recorder.requests.record("GET", "/me", 503, "pool_timeout", 0.3)
    recorder.pool("postgresql", 10).opened = 4
    recorder.cache("session").hits += 3
    recorder.hashing(1, 16).done(0.25, 0.1)
    recorder.redis = RedisServer(run_id="r", hits=7)
    return recorder


def read(*recorders: Recorder, complete: bool = True, accept: str = "") -> dict[str, Metric]:
    """Return what a parser makes of an answer, by family."""
    answer = Answer([recorder.snapshot() for recorder in recorders], complete)
    body, content_type = exposition_of(answer, {"service.name": 'my "own"\n'}, accept)
    is_openmetrics = content_type.startswith("application/openmetrics-text")
    assert is_openmetrics or content_type.startswith("text/plain; version=0.0.4")
    read_by = openmetrics.text_string_to_metric_families if is_openmetrics else parser.text_string_to_metric_families
    families: Iterable[Metric] = read_by(body.decode())
    return {family.name: family for family in families}


def samples(family: Metric, name: str, **labels: str) -> list[Sample]:
    """Return the samples of a family with a name and at least these labels."""
    return [s for s in family.samples if s.name == name and labels.items() <= s.labels.items()]


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0,text/plain;q=0.5"])
def test_every_worker_has_its_own_series(accept: str) -> None:
    """In either format there is one series a worker, counts at the bounds are exact, and every family is described."""
    families = read(worked("a", 0.1, 0.11, 0.15), worked("b", 0.2, 0.21), accept=accept)
    for worker, expected in (("a", [1, 3, 3, 3]), ("b", [0, 0, 1, 2])):
        buckets = samples(families[DURATION], f"{DURATION}_bucket", worker=worker, http_response_status_code="200")
        assert [(s.labels["le"], s.value) for s in buckets] == list(
            zip(["0.1", "0.15", "0.2", "+Inf"], expected, strict=True)
        )
    failed = samples(families[DURATION], f"{DURATION}_count", error_type="pool_timeout")
    assert [(s.labels["worker"], s.labels["http_route"], s.value) for s in failed] == [("a", "/me", 1), ("b", "/me", 1)]
    assert all(family.documentation for family in families.values())


def test_what_is_not_split_is_counted_at_powers_of_two() -> None:
    """A wait of exactly a quarter of a second is not above the bound of a quarter of a second."""
    waits = read(worked("a"))["gatewatch_hash_queue_wait_time_seconds"]
    counts = {s.labels["le"]: s.value for s in samples(waits, f"{waits.name}_bucket")}
    assert (counts["0.125"], counts["0.25"], counts["+Inf"]) == (0, 1, 1)


def test_sizes_are_bytes() -> None:
    """Recorded in MiB, they are read in bytes, and an answer of exactly 4 KiB is not above that bound."""
    histogram = Histogram()
    for size in (0, 4096, 4097):
        histogram.record(size / 2**20)
    body = BodySizes("GET", "/me", Histogram().freeze(), histogram.freeze())
    snapshot = msgspec.structs.replace(worked("a").snapshot(), bodies=(body,))
    page, _ = exposition_of(Answer([snapshot], complete=True), {}, "")
    name = "http_server_response_body_size_bytes"
    sizes = next(f for f in parser.text_string_to_metric_families(page.decode()) if f.name == name)
    counts = {s.labels["le"]: s.value for s in samples(sizes, f"{name}_bucket")}
    assert (counts["1024.0"], counts["4096.0"], counts["+Inf"]) == (1, 2, 3)
    assert samples(sizes, f"{name}_sum")[0].value == 8193


def test_the_redis_server_is_told_of_once() -> None:
    """All workers see the same server: one of them tells, so that a sum is right."""
    hits = samples(read(worked("a"), worked("b"))["redis_keyspace_hits"], "redis_keyspace_hits_total")
    assert [(s.labels["worker"], s.value) for s in hits] == [("a", 7)]


def test_a_kept_trace_is_an_example_of_its_bucket() -> None:
    """OpenMetrics has the newest exemplar of each bucket."""
    snapshot = worked("a", 0.11, 0.12, 0.3).snapshot()
    exemplars = tuple(
        Exemplar(seconds, f"{n:032x}", f"{n:016x}", 1000.0 + n) for n, seconds in enumerate((0.11, 0.12, 0.3))
    )
    requests = (msgspec.structs.replace(snapshot.requests[0], exemplars=exemplars), *snapshot.requests[1:])
    answer = Answer([msgspec.structs.replace(snapshot, requests=requests)], complete=True)
    body, _ = exposition_of(answer, {}, "application/openmetrics-text; version=1.0.0")
    families = {f.name: f for f in openmetrics.text_string_to_metric_families(body.decode())}  # type: ignore[no-untyped-call]  # the parser's own is not annotated
    found = {s.labels["le"]: s.exemplar for s in families[DURATION].samples if s.exemplar}
    assert {le: (e.labels["trace_id"], e.value) for le, e in found.items()} == {
        "0.15": (f"{1:032x}", 0.12),
        "+Inf": (f"{2:032x}", 0.3),
    }


@pytest.mark.parametrize("complete", [True, False])
def test_an_answer_says_whether_it_is_whole(*, complete: bool) -> None:
    """A gauge tells whether workers may be missing; target_info says who is measured, whatever it is called."""
    families = read(worked("a"), complete=complete)
    assert families["gatewatch_metrics_complete"].samples[0].value == complete
    assert families["target_info"].samples[0].labels == {"service_name": 'my "own"\n'}
