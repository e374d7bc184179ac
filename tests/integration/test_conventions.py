"""What leaves the service by OTLP, as a real receiver (rotel) took it, held against OpenTelemetry's own registry of names."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.metrics import NoOpMeter
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.semconv._incubating import attributes as conventional_attributes
from opentelemetry.semconv._incubating import metrics as conventional_metrics
from receiving import Sink, plain, receiving
from rotels import rotel_at
from running import EMAIL, PASSWORD

from app.embedded.port import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from running import Serve, Service

CALLER = "00f067aa0ba902b7"
OWN = ("gatewatch.", "redis.")
"""How names begin that are no convention's; those of the Redis server are the Collector's receiver's."""


@dataclass
class Told:
    """What the receiver passed on, and the service that it is about."""

    sink: Sink
    service: Service

    def trace(self, number: int) -> tuple[Span, list[Span]]:
        """Return the server span and its children of the request of a number."""
        spans = [span for _, span in self.sink.spans() if span.trace_id.hex() == _trace_id(number)]
        [server] = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
        return server, [span for span in spans if span is not server]


KINDS = ("POST /auth/register", "POST /auth/login", "GET /auth/check", "GET /auth/check", "PUT /users/profile")
REGISTER, LOGIN, COLD, WARM, PROFILE = range(len(KINDS))


@pytest.fixture
async def told(serve: Serve, tmp_path: Path) -> AsyncIterator[Told]:
    """Send one request of each kind, all of which their caller samples, and wait until the receiver has passed on all of it."""
    port = free_port()
    with receiving() as sink:
        async with rotel_at(port, sink.port, tmp_path):
            environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
            async with serve(environment=environment) as service:
                await service.telemetry.start(None)
                await _ask(service)
                await service.telemetry.stop()
            async with asyncio.timeout(60):
                while len(_servers(sink)) < len(KINDS) or "process.cpu.time" not in sink.metrics():  # noqa: ASYNC110 - the sink lives in another thread
                    await asyncio.sleep(0.05)
            yield Told(sink, service)


async def _ask(service: Service) -> None:
    def caller(number: int) -> dict[str, str]:
        return {"traceparent": f"00-{_trace_id(number)}-{CALLER}-01"}

    person = {"email": EMAIL, "password": PASSWORD}
    answer = await service.client.post("/auth/register", json=person, headers=caller(REGISTER))
    assert answer.status_code == 201
    answer = await service.client.post("/auth/login", json=person, headers=caller(LOGIN))
    token = {"Authorization": f"Bearer {answer.json()['token']}"}
    for number in (COLD, WARM):
        assert (await service.client.get("/auth/check", headers={**token, **caller(number)})).status_code == 204
    answer = await service.client.put("/users/profile", json={"name": "Ann"}, headers={**token, **caller(PROFILE)})
    assert answer.status_code == 200


def _trace_id(number: int) -> str:
    return f"{0x4BF92F3577B34DA6 + number:032x}"


def _servers(sink: Sink) -> list[Span]:
    return [span for _, span in sink.spans() if span.kind == Span.SPAN_KIND_SERVER]


async def test_each_request_is_a_span_with_its_queries_commands_and_hashes(told: Told) -> None:
    """Parents and children, names, kinds and attributes are those that the conventions ask for."""
    for number, name in enumerate(KINDS):
        server, children = told.trace(number)
        method, route = name.split()
        attributes = plain(server.attributes)
        assert (server.name, server.parent_span_id.hex(), server.status.code) == (
            name,
            CALLER,
            Status.STATUS_CODE_UNSET,
        )
        assert (attributes["http.request.method"], attributes["http.route"]) == (method, route)
        assert (attributes["url.scheme"], attributes["server.port"]) == ("http", told.service.port)
        for child in children:
            assert child.parent_span_id == server.span_id
            assert server.start_time_unix_nano <= child.start_time_unix_nano + 1000
            assert child.end_time_unix_nano <= server.end_time_unix_nano + 1000
        _check_children(children)
    found = {number: Counter(map(_kind, told.trace(number)[1])) for number in range(len(KINDS))}
    assert [found[number]["postgresql"] for number in range(len(KINDS))] == [1, 2, 1, 0, 1]
    assert found[REGISTER]["hash"] == found[LOGIN]["hash"] == 1
    assert found[COLD]["redis"] == 3
    assert found[WARM] == {"redis": 1}


def _kind(span: Span) -> str:
    return str(plain(span.attributes).get("db.system.name", span.name))


def _check_children(children: list[Span]) -> None:
    for child in children:
        attributes = plain(child.attributes)
        assert not any(secret in str(attributes) for secret in (EMAIL, PASSWORD))
        system = attributes.get("db.system.name")
        assert child.kind == (Span.SPAN_KIND_CLIENT if system else Span.SPAN_KIND_INTERNAL)
        if system is None:
            continue
        assert attributes["server.address"]
        assert attributes["server.port"] > 0
        if system == "postgresql":
            assert child.name == attributes["db.query.summary"]
            assert "$1" in attributes["db.query.text"]
            assert attributes["db.response.returned_rows"] >= 0
        else:
            target = f"{attributes['server.address']}:{attributes['server.port']}"
            assert child.name == f"{attributes['db.operation.name']} {target}"
            assert attributes["db.namespace"] == "0"
            assert ("db.operation.batch.size" in attributes) == child.name.startswith("PIPELINE ")


async def test_durations_of_spans_are_those_of_the_metrics(told: Told) -> None:
    """The sum of a series is that of its requests' spans, and the sum of a query's that of its spans."""
    metrics = told.sink.metrics()
    requests = _points(metrics["http.server.request.duration"], "http.route")
    queries = _points(metrics["db.client.operation.duration"], "db.query.summary")
    of_requests: Counter[str] = Counter()
    of_queries: Counter[str] = Counter()
    for number, name in enumerate(KINDS):
        server, children = told.trace(number)
        of_requests[name.split()[1]] += server.end_time_unix_nano - server.start_time_unix_nano
        for child in children:
            if _kind(child) == "postgresql":
                of_queries[child.name] += child.end_time_unix_nano - child.start_time_unix_nano
    assert {route: point.sum for route, point in requests.items()} == pytest.approx(_seconds(of_requests), abs=1e-5)
    assert requests["/auth/check"].count == 2
    found = {name: queries[name].sum for name in of_queries}
    assert found == pytest.approx(_seconds(of_queries), abs=1e-5)


def _seconds(nanoseconds: Counter[str]) -> dict[str, float]:
    return {name: value / 1e9 for name, value in nanoseconds.items()}


def _points(metric: Metric, by: str) -> dict[str, Any]:
    assert metric.unit == "s"
    assert metric.exponential_histogram.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    points = ((plain(p.attributes), p) for p in metric.exponential_histogram.data_points)
    return {attributes[by]: point for attributes, point in points if by in attributes}


async def test_exemplars_lead_to_traces(told: Told) -> None:
    """Each of a series is a server span of that route, and as long."""
    points = _points(told.sink.metrics()["http.server.request.duration"], "http.route")
    for number, name in enumerate(KINDS):
        server, _ = told.trace(number)
        exemplars = {exemplar.trace_id: exemplar for exemplar in points[name.split()[1]].exemplars}
        exemplar = exemplars[server.trace_id]
        assert exemplar.span_id == server.span_id
        assert exemplar.as_double == pytest.approx(
            (server.end_time_unix_nano - server.start_time_unix_nano) / 1e9, abs=1e-6
        )


async def test_metrics_are_what_the_registry_says(told: Told) -> None:
    """Every name of a convention's has its unit and its instrument there, and every attribute is known there."""
    instruments, attributes = _registered_metrics(), _registered_attributes()
    metrics = told.sink.metrics()
    for name, metric in metrics.items():
        if not name.startswith(OWN):
            assert instruments[name] == (_instrument(metric), metric.unit), name
            for point in getattr(metric, str(metric.WhichOneof("data"))).data_points:
                assert plain(point.attributes).keys() <= attributes, name
    assert {
        "http.server.request.duration",
        "http.server.active_requests",
        "http.server.request.body.size",
        "http.server.response.body.size",
        "db.client.operation.duration",
        "db.client.connection.count",
        "db.client.connection.max",
        "db.client.connection.idle.max",
        "db.client.connection.pending_requests",
        "db.client.connection.timeouts",
        "db.client.connection.create_time",
        "db.client.connection.wait_time",
        "db.client.connection.use_time",
        "process.cpu.time",
        "process.memory.usage",
        "process.thread.count",
        "process.unix.file_descriptor.count",
        "cpython.gc.collections",
        "otel.sdk.exporter.span.exported",
    } <= metrics.keys()


def _instrument(metric: Metric) -> str:
    kind = str(metric.WhichOneof("data"))
    if kind != "sum":
        return {"exponential_histogram": "histogram"}.get(kind, kind)
    assert metric.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    return "counter" if metric.sum.is_monotonic else "up_down_counter"


class _Registry(NoOpMeter):
    """Notes what instruments the conventions' own package makes."""

    def __init__(self) -> None:
        super().__init__("registry")
        self.found: dict[str, tuple[str, str]] = {}


def _noting(instrument: str) -> Any:
    def create(self: _Registry, name: str, *_: object, unit: str = "", **__: object) -> None:
        self.found[name] = instrument.removeprefix("observable_"), unit

    return create


for _instrument_name in (
    "counter",
    "histogram",
    "gauge",
    "up_down_counter",
    "observable_counter",
    "observable_gauge",
    "observable_up_down_counter",
):
    setattr(_Registry, f"create_{_instrument_name}", _noting(_instrument_name))


def _registered_metrics() -> dict[str, tuple[str, str]]:
    registry = _Registry()
    for module in _modules(conventional_metrics):
        for name, create in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("create_"):
                create(registry, *([()] if "callbacks" in inspect.signature(create).parameters else []))
    return registry.found


def _registered_attributes() -> set[str]:
    constants = (value for module in _modules(conventional_attributes) for value in vars(module).values())
    return {value for value in constants if isinstance(value, str)} | {"error.type", "http.route", "url.scheme"}


def _modules(package: Any) -> list[Any]:
    return [
        importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)
    ]
