"""A snapshot as families of metrics, by names, units and attributes of the conventions; OTLP and Prometheus encode them.

What no convention names is called ``gatewatch.``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from observability.model import PARTS
from observability.publish.family import MEBI, Distributions, count, difference, gauge, level
from observability.publish.stores import caches, operations, pools, redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from observability.model import (
        Anatomy,
        Distribution,
        ExportCounts,
        HashCounts,
        Kept,
        RouteCounts,
        Runtime,
        Snapshot,
        TelemetryCost,
    )
    from observability.publish.family import Attributes, Family

_SERVER_ERROR = 500


def families_of(snapshot: Snapshot) -> Iterator[Family]:
    """Yield everything in a snapshot; what a worker does not have is left out."""
    yield from _requests(snapshot)
    if snapshot.anatomy:
        yield _anatomy(snapshot.anatomy)
    if snapshot.operations:
        yield from operations(snapshot.operations, dict(snapshot.namespaces))
    if snapshot.pools:
        yield from pools(snapshot.pools)
    if snapshot.caches:
        yield from caches(snapshot.caches)
    if snapshot.hashing:
        yield from _hashing(snapshot.hashing)
    if snapshot.redis:
        yield from redis_server(snapshot.redis)
    if snapshot.database_cpu is not None:
        says = "Share of its machine's processors that the database uses."
        yield gauge("gatewatch.database.cpu.utilization", "1", says, [({}, snapshot.database_cpu)])
    if snapshot.export:
        yield from _export(snapshot.export)
    yield from _kept(snapshot.kept)
    yield from _cost(snapshot.cost)
    yield from _runtime(snapshot.runtime)
    # They are numbered from 1 on, and the newest are told of.
    blocked = max((blocked.number for blocked in snapshot.blocked), default=0)
    yield count(
        "gatewatch.eventloop.blocked", "{event}", "Ticks of the event loop that took too long.", [({}, blocked)]
    )


def _requests(snapshot: Snapshot) -> Iterator[Family]:
    scheme: Attributes = {"url.scheme": snapshot.scheme}
    yield Distributions(
        "http.server.request.duration",
        "Duration of HTTP server requests, from the first byte read to the last one written.",
        [({**_outcome(r), **scheme}, r.duration) for r in snapshot.requests],
        [r.exemplars for r in snapshot.requests],
    )
    yield level(
        "http.server.active_requests",
        "{request}",
        "Requests that are being answered.",
        [({"http.request.method": method, **scheme}, number) for method, number in snapshot.active],
    )
    sizes = [({**_route(b.method, b.route), **scheme}, b) for b in snapshot.bodies]
    if sizes:
        yield _sizes("request", [(attributes, body.request) for attributes, body in sizes])
        yield _sizes("response", [(attributes, body.response) for attributes, body in sizes])


def _sizes(of: str, points: list[tuple[Attributes, Distribution]]) -> Distributions:
    name, says = f"http.server.{of}.body.size", f"Size of HTTP server {of} bodies."
    return Distributions(name, says, points, unit="By", doublings=MEBI)


def _anatomy(anatomy: Sequence[Anatomy]) -> Family:
    points: list[tuple[Attributes, float]] = []
    for route in anatomy:
        parts = [math.fsum(band.parts[n] for band in route.bands) for n in range(len(PARTS))]
        rest = difference(math.fsum(band.total for band in route.bands), math.fsum(parts))
        for part, seconds in zip((*PARTS, "rest"), (*parts, rest), strict=True):
            points.append(({**_route(route.method, route.route), "part": part}, seconds))
    says = "Where the time of requests went, by what they waited for."
    return count("gatewatch.http.server.request.time", "s", says, points)


def _hashing(hashing: HashCounts) -> Iterator[Family]:
    own = "gatewatch.hash"
    yield level(f"{own}.queue.length", "{password}", "Passwords that wait to be hashed.", [({}, hashing.queued)])
    yield level(f"{own}.queue.limit", "{password}", "Passwords that may wait.", [({}, hashing.limit)])
    yield count(f"{own}.queue.refused", "{password}", "Passwords that were turned away.", [({}, hashing.refused)])
    yield Distributions(f"{own}.queue.wait_time", "How long passwords waited to be hashed.", [({}, hashing.wait)])
    yield Distributions(f"{own}.duration", "How long hashing took.", [({}, hashing.duration)])


def _export(export: ExportCounts) -> Iterator[Family]:
    """Yield the convention's figures of an SDK about itself."""
    ended: list[tuple[Attributes, float]] = [({}, export.accepted), ({"error.type": "rejected"}, export.lost)]
    yield count("otel.sdk.exporter.span.exported", "{span}", "Spans whose export ended, well or badly.", ended)
    refused: list[tuple[Attributes, float]] = [({"error.type": "queue_full"}, export.refused)]
    yield count("otel.sdk.processor.span.processed", "{span}", "Spans that found the queue full.", refused)
    yield count("gatewatch.export.failures", "{export}", "Exports that failed.", [({}, export.failures)])


def _kept(kept: Kept) -> Iterator[Family]:
    why: list[tuple[Attributes, float]] = [
        ({"why": why}, getattr(kept, why)) for why in ("slow", "failed", "sampled", "asked")
    ]
    yield count("gatewatch.traces.kept", "{trace}", "Requests that were kept as traces, and why.", why)
    says = "Requests that would have been kept but for the bound on how many a second."
    yield count("gatewatch.traces.refused", "{trace}", says, [({}, kept.refused)])


def _cost(cost: TelemetryCost) -> Iterator[Family]:
    own = "gatewatch.telemetry"
    timed = "Requests whose telemetry was timed."
    yield count(f"{own}.time", "s", "Time that the timed requests spent in telemetry.", [({}, cost.seconds)])
    yield count(f"{own}.timed_requests", "{request}", timed, [({}, cost.requests)])
    yield count(f"{own}.published", "By", "Snapshots and kept traces that went to the fleet.", [({}, cost.published)])
    yield level(f"{own}.series", "{series}", "Series of requests in use.", [({}, cost.series)])
    yield level(f"{own}.series.limit", "{series}", "Series that there may be.", [({}, cost.most_series)])
    overflowed = "Requests that were counted in the series for all others."
    yield count(f"{own}.overflowed", "{request}", overflowed, [({}, cost.overflowed)])


def _runtime(runtime: Runtime) -> Iterator[Family]:
    yield count("process.cpu.time", "s", "CPU time of the worker process.", [({}, runtime.cpu)])
    yield level("process.memory.usage", "By", "Resident memory of the worker process.", [({}, runtime.rss)])
    yield level("process.unix.file_descriptor.count", "{file_descriptor}", "Open files.", [({}, runtime.open_files)])
    yield level("process.thread.count", "{thread}", "Threads of the worker process.", [({}, runtime.threads)])
    generations: list[tuple[Attributes, float]] = [
        ({"cpython.gc.generation": generation}, number) for generation, number in enumerate(runtime.gc_collections)
    ]
    if generations:
        says = "Collections of garbage, by generation."
        yield count("cpython.gc.collections", "{collection}", says, generations)
    yield Distributions("gatewatch.gc.pause", "How long garbage collection held it up.", [({}, runtime.gc_pauses)])
    yield level("gatewatch.eventloop.tasks", "{task}", "Tasks of the event loop.", [({}, runtime.tasks)])
    yield Distributions("gatewatch.eventloop.lag", "How late the event loop runs.", [({}, runtime.loop_lag)])


def _route(method: str, route: str) -> Attributes:
    attributes: Attributes = {"http.request.method": method}
    if route:
        attributes["http.route"] = route
    return attributes


def _outcome(counts: RouteCounts) -> Attributes:
    attributes = _route(counts.method, counts.route)
    if counts.status:
        attributes["http.response.status_code"] = counts.status
    if counts.error or counts.status >= _SERVER_ERROR:
        attributes["error.type"] = counts.error or str(counts.status)
    return attributes
