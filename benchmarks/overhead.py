"""What telemetry costs: the service with everything on beside the same with OTEL_SDK_DISABLED, and stock instrumentation.

A receiver takes what goes out, on the driver's core. CPU is that of the serving process, exporting threads included.
The recorder by itself is measured in place, request after request, with nothing served: so it finds everything in caches.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import uvloop
from opentelemetry.sdk.resources import Resource

from benchmarks.driver import PAIRS, SECONDS, Cost, drive, rounds
from benchmarks.instance import (
    DRIVER_CORE,
    SERVER_CORE,
    Instance,
    free_port,
    gatewatch,
    pinned,
    wait_for_answer,
)
from benchmarks.people import asking, of_ours
from benchmarks.rivals import OTEL_ENVIRONMENT, OTEL_REQUIREMENTS, installed, version
from benchmarks.table import Row, paired
from observability.publish.spans import request_of
from observability.record import Recorder
from observability.record.keeping import Keeper
from observability.record.sanic import hook
from observability.record.trace import HeadSampling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from observability.model import BriefTrace, KeptTrace

TOKENS, CONNECTIONS = 1000, 32
ALONE, BATCH = 51_200, 256
"""Requests that the recorder is given alone, and traces that are encoded at once."""
TARGET = 1.08
NOT_KEPT, KEPT = 15.0, 150.0
"""Microseconds a request through Sanic may cost more."""

_LITTLE = (b"GET /json HTTP/1.1\r\nHost: bench\r\n\r\n",)
_NAIVE = (b"GET /naive HTTP/1.1\r\nHost: bench\r\nAuthorization: " + b"a" * 43 + b"\r\n\r\n",)


def measure() -> list[Row]:
    """Measure, and return a row for each comparison."""
    os.sched_setaffinity(0, {DRIVER_CORE})
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        receiver = stack.enter_context(_receiver())
        export = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver, "OTEL_METRIC_EXPORT_INTERVAL": "10000"}
        on = stack.enter_context(gatewatch(folder / "on", (SERVER_CORE,), **export))
        stores = {"DATABASE_URL": on.database_url, "REDIS_URL": on.redis_url}
        off = stack.enter_context(gatewatch(folder / "off", (SERVER_CORE,), **stores, OTEL_SDK_DISABLED="true"))
        always = {**export, "OTEL_TRACES_SAMPLER": "always_on"}
        bare = stack.enter_context(_bare(on, [sys.executable, "-m", "benchmarks.rivals.bare"], {}))
        traced = [sys.executable, "-m", "benchmarks.rivals.traced", "ours"]
        ours = stack.enter_context(_bare(on, traced, export))
        kept = stack.enter_context(_bare(on, traced, always))
        python = str(installed(OTEL_ENVIRONMENT, OTEL_REQUIREMENTS))
        stock = stack.enter_context(_bare(on, [python, "-m", "benchmarks.rivals.traced", "stock"], always))
        return [*uvloop.run(_measure(on, off, bare, ours, kept, stock)), recorder_alone()]


def recorder_alone() -> Row:
    """Measure what the recorder itself takes for a hot request that is sampled, encoding included, and for one that is not."""
    sampled = [_alone(HeadSampling(1.0)) for _ in range(PAIRS)]
    others = [_alone(HeadSampling(0.0)) for _ in range(PAIRS)]
    figures = {"sampled_nanoseconds": min(sampled), "not_sampled_nanoseconds": min(others)}
    return Row(
        what="The recorder alone, a request of the express way",
        conditions="in place, with nothing served; the least of some runs",
        ours=f"{figures['not_sampled_nanoseconds']:.0f} ns, sampled {figures['sampled_nanoseconds']:,.0f} ns",
        figures=figures,
    )


def _alone(sampling: HeadSampling) -> float:
    """Return nanoseconds a request."""
    recorder, traces, brief = Recorder(instance="here"), list["KeptTrace"](), list["BriefTrace"]()
    recorder.sampling, recorder.keeper = sampling, Keeper(instance="here", worker="one")
    recorder.keeper.sink, recorder.keeper.brief_sink = lambda trace, _: traces.append(trace), brief.extend
    recorder.operations.commands("0", "127.0.0.1", 6379)
    kind, resource = hook(recorder), Resource({})
    protocol: Any = kind.__new__(kind)
    protocol.conn_info = SimpleNamespace(ssl=False, server="127.0.0.1:8000", server_port=8000)
    series, began = protocol.series("GET", "/auth/check", 204), time.process_time()
    for _ in range(ALONE):
        protocol.begin(protocol.stamp())
        protocol.answered(series, protocol.stamp(), protocol.stamp(), 0, b"", bytes, False)  # noqa: FBT003 - its own
        if len(traces) + len(brief) >= BATCH:
            request_of([(trace, ()) for trace in traces], resource, brief)
            traces.clear()
            brief.clear()
    recorder.snapshot()
    return (time.process_time() - began) / ALONE * 1e9


async def _measure(
    on: Instance, off: Instance, bare: Instance, ours: Instance, kept: Instance, stock: Instance
) -> list[Row]:
    people = await of_ours(on, TOKENS)
    rows = []
    for path, status in (("/auth/check", 204), ("/auth/me", 200)):
        mine, others = await _pairs(on, off, asking(path, people), status)
        what = f"GET {path}, warm, all telemetry on"
        rows.append(paired(what, "OTEL_SDK_DISABLED=true", CONNECTIONS, mine, others, TARGET))
    rows.append(_more("Sanic JSON handler, 1 % kept", *await _pairs(ours, bare, _LITTLE, 200), NOT_KEPT))
    rows.append(_more("Sanic JSON handler, every request kept", *await _pairs(kept, bare, _LITTLE, 200), KEPT))
    name = f"opentelemetry-sdk {version('opentelemetry-sdk', OTEL_REQUIREMENTS)}, stock, every request sampled"
    for what, payload, status in (("Sanic JSON handler", _LITTLE, 200), ("Sanic + one Redis GET", _NAIVE, 204)):
        mine, others = await _pairs(stock, bare, payload, status)
        rows.append(paired(f"{what}: {name}", "the same without", CONNECTIONS, mine, others))
    return rows


async def _pairs(
    one: Instance, other: Instance, payloads: Sequence[bytes], status: int
) -> tuple[list[Cost], list[Cost]]:
    mine: list[Cost] = []
    others: list[Cost] = []
    for counts in rounds():
        for server, costs in ((one, mine), (other, others)):
            cost = await drive(
                server.url, payloads, status=status, pid=server.pid, connections=CONNECTIONS, seconds=SECONDS
            )
            if counts:
                costs.append(cost)
    return mine, others


def _more(what: str, ours: list[Cost], bare: list[Cost], at_most: float) -> Row:
    """Return a row whose target is a difference of CPU a request, in microseconds."""
    row = paired(what, "the same without", CONNECTIONS, ours, bare)
    more = median((mine.cpu - other.cpu) * 1e6 for mine, other in zip(ours, bare, strict=True))
    figures = {**row.figures, "more_microseconds": more}
    return Row(
        **{
            **{name: getattr(row, name) for name in row.__struct_fields__},
            "conditions": f"{row.conditions}; {more:+.1f} us a request",
            "target": f"at most {at_most:g} us more",
            "met": more <= at_most,
            "figures": figures,
        }
    )


@contextlib.contextmanager
def _receiver() -> Iterator[str]:
    port = free_port()
    with pinned([sys.executable, "-m", "benchmarks.rivals.receiver", str(port)], {}, (DRIVER_CORE,)) as process:
        wait_for_answer(f"http://127.0.0.1:{port}/", process)
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _bare(stores: Instance, command: list[str], environment: dict[str, str]) -> Iterator[Instance]:
    port = free_port()
    settings = {"REDIS_URL": stores.redis_url, **environment}
    with pinned([*command, str(port)], settings, (SERVER_CORE,)) as process:
        wait_for_answer(f"http://127.0.0.1:{port}/json", process)
        yield Instance(f"http://127.0.0.1:{port}", process.pid)
