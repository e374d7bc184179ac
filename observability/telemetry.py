"""Telemetry of one worker process: recording, publishing and reading put together."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec
from opentelemetry.sdk.resources import Resource
from sanic.server.protocols.websocket_protocol import WebSocketProtocol

from observability.model.histogram import HTTP_BOUNDS
from observability.model.stream import Commands
from observability.publish.instance import InstanceSnapshots
from observability.publish.otlp import OtlpPublisher, endpoint, warnings_of
from observability.publish.outside import OutsideSpans
from observability.publish.page import Readers, metrics_routes
from observability.publish.stream import StreamPublisher
from observability.publish.traces import KeptPublisher
from observability.read.store import FleetStore
from observability.read.watch import Watch
from observability.record import provider
from observability.record.delayed import delayed_on
from observability.record.keeping import Keeper
from observability.record.logs import stamp_logs, stop_stamping
from observability.record.propagation import propagation_from
from observability.record.recorder import Recorder
from observability.record.redis import sample_redis
from observability.record.sanic import hook
from observability.record.trace import head_sampling, sampler_from
from observability.record.watchdog import BLOCKED_AFTER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanic import Blueprint

    from observability.model import KeptTrace, Slo, Snapshot

__all__ = ["INTERNAL", "Commands", "Telemetry"]

_logger = logging.getLogger(__name__)

INTERNAL = ("/console", "/health", "/metrics")
"""Routes that are recorded but left out of the service's figures."""

DatabaseCpu = Callable[[], Awaitable[float | None]]

_FLUSH_TIMEOUT = 2.0
_PATIENCE = 0.5
"""Seconds that a stop waits for what it has cancelled."""

_SAMPLE_EVERY = 5


class Telemetry:
    """Everything that a worker needs to be seen; made in the worker, before its application starts.

    ``instance`` names this instance of the service in the fleet. ``environment`` is read for the standard ``OTEL_*``
    variables. ``first`` is true in one worker of an instance: it alone exports the figures of the Redis server, which all
    of them see, and it alone warns of variables that cannot be obeyed. Under ``OTEL_SDK_DISABLED=true`` nothing is hooked, published or read: meters still count, for nobody.
    A tick of the loop that takes longer than ``blocked_after`` seconds is reported with its stack; 0 reports none.
    """

    def __init__(  # noqa: PLR0913 - each is named, and most callers leave some out
        self,
        *,
        service: str,
        version: str,
        instance: str,
        slo: Slo,
        environment: Mapping[str, str],
        first: bool = True,
        clock: Callable[[], float] = time.time,
        internal: Sequence[str] = INTERNAL,
        blocked_after: float = BLOCKED_AFTER,
    ) -> None:
        self.enabled = not is_disabled(environment)
        targets = {(target.method, target.route): target.p95 for target in slo.route}
        self.recorder = Recorder(
            instance=instance, clock=clock, bounds=bounds_of(slo), targets=targets, release=version
        )
        self.recorder.sampling = head_sampling(environment, warn=first)
        self.recorder.propagation = propagation_from(environment, warn=first)
        self.protocol: type[WebSocketProtocol] = hook(self.recorder) if self.enabled else WebSocketProtocol
        self.feed = FleetStore(
            slo=slo, internal=internal, clock=clock, off="" if self.enabled else "telemetry is off (OTEL_SDK_DISABLED)"
        )
        self.publisher: StreamPublisher | None = None
        self._kept: KeptPublisher | None = None
        self.watch = Watch(self.feed, slo=slo, worker=self.recorder.worker, clock=clock)
        self.instance = InstanceSnapshots(lambda: self._latest or self.recorder.snapshot(), clock)
        """What all workers of this instance have counted."""
        self._environment = environment
        self._first = first
        self._resource_of = (service, version, instance)
        self._clock = clock
        self._redis: Commands | None = None
        self._database_cpu: DatabaseCpu | None = None
        self._blocked_after = blocked_after
        self._otlp: OtlpPublisher | None = None
        self._outside: OutsideSpans | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._latest: Snapshot | None = None

    def metrics_page(self, readers: Readers = "local") -> Blueprint:
        """Return GET /metrics for whom it is for; nobody, when telemetry is off."""
        service, version, instance = self._resource_of
        about = partial(attributes_of, service, version, instance, self._environment)
        return metrics_routes(self.instance.read, about, readers if self.enabled else "off")

    async def start(self, redis: Commands | None, *, database_cpu: DatabaseCpu | None = None) -> None:
        """Begin to publish and to sample on the running loop; ``redis`` carries the fleet's stream, None for none.

        ``database_cpu`` is asked every five seconds for the share of its machine's processors that the database has used
        since it was asked last, or None when that cannot be known.

        The client should be one of telemetry's own: a request must not wait for a connection that a snapshot holds.
        """
        if not self.enabled:
            return
        self._redis = redis
        self._database_cpu = database_cpu
        self.publisher = StreamPublisher(redis) if redis is not None else None
        self._kept = KeptPublisher(redis) if redis is not None else None
        self.feed.connect(redis)
        self.instance.connect(redis, self.publisher)
        stamp_logs()
        self.recorder.runtime.start(self._blocked_after, lambda: delayed_on(self.recorder.connections))
        self.recorder.keeper = Keeper(instance=self.recorder.instance, worker=self.recorder.worker)
        self._start_otlp()
        self._join_spans()
        # Before the first request, so that whoever answers for the instance from now on knows of this worker.
        await self._publish()
        self._ticking = asyncio.create_task(self._tick_each_second(), name="telemetry")
        self.watch.start(redis)

    async def stop(self) -> None:
        """Send what is left and stop, within three seconds."""
        if self._ticking is None:
            return
        await self.watch.stop()
        self._ticking.cancel()
        await asyncio.wait({self._ticking}, timeout=_PATIENCE)
        self._ticking = None
        self.recorder.runtime.stop()
        stop_stamping()
        provider.leave()
        await self._publish()
        self.recorder.keeper = None
        self.feed.connect(None)
        self.instance.connect(None, None)
        if self._outside is not None:
            await self._outside.close(_FLUSH_TIMEOUT)
        self._outside = None
        if self._otlp is not None and not await self._otlp.close(_FLUSH_TIMEOUT):
            _logger.warning("OTLP could not be flushed in time; what was left is dropped")
        self._otlp = None

    def _start_otlp(self) -> None:
        if not any(endpoint(self._environment, signal) for signal in ("traces", "metrics")):
            return
        if self._first:
            for warning in warnings_of(self._environment):
                _logger.warning(warning)
        resource = resource_of(*self._resource_of, self.recorder.worker, self._environment)
        self._otlp = OtlpPublisher(environment=self._environment, resource=resource, latest=self._exported)

    def _join_spans(self) -> None:
        """Let spans that user code makes be children of requests, and go where the others go."""
        url = endpoint(self._environment, "traces")
        self._outside = OutsideSpans(url) if url else None
        resource = resource_of(*self._resource_of, self.recorder.worker, self._environment)
        sampler = sampler_from(self._environment, warn=False)  # it was warned of when the recorder was made
        spans = provider.join(resource, sampler, self._outside.put if self._outside else None)
        sink = self._otlp.span_sink if self._otlp is not None else None
        if self.recorder.keeper is not None and sink is not None:
            # Another provider's spans are exported by that.
            self.recorder.keeper.sink = (
                (lambda trace, _: sink(_without_user_spans(trace), ())) if spans.joined else sink
            )
            self.recorder.keeper.brief_sink = self._otlp.brief_sink if self._otlp is not None else None

    def _exported(self) -> Snapshot | None:
        """Return what goes out by OTLP: the figures of the Redis server must not be summed once a worker."""
        if self._first or self._latest is None:
            return self._latest
        return msgspec.structs.replace(self._latest, redis=None)

    async def _tick_each_second(self) -> None:
        while True:
            now = self._clock()
            await asyncio.sleep(math.floor(now) + 1 - now)
            try:
                await self._publish()
                if self._redis is not None:
                    self.recorder.redis = await sample_redis(self._redis)
                if self._database_cpu is not None and round(now) % _SAMPLE_EVERY == 0:
                    self.recorder.database_cpu = await self._database_cpu()
            except Exception:
                # One bad second must not end all the following ones.
                _logger.exception("a telemetry snapshot failed")

    async def _publish(self) -> None:
        self.recorder.settle()
        snapshot = self.recorder.snapshot()
        if self._otlp is not None:
            snapshot = msgspec.structs.replace(snapshot, export=self._otlp.counts)
        self._latest = snapshot
        self.feed.hold(snapshot)
        if self.publisher is not None:
            await self.publisher.publish(snapshot)
        await self._publish_kept()

    async def _publish_kept(self) -> None:
        keeper = self.recorder.keeper
        traces = keeper.take() if keeper is not None else []
        if self._kept is None or not await self._kept.publish(traces):
            for trace in traces:
                self.feed.hold_kept(trace)
        if self.publisher is not None and self._kept is not None:
            self.recorder.published = self.publisher.bytes + self._kept.bytes


def _without_user_spans(trace: KeptTrace) -> KeptTrace:
    return msgspec.structs.replace(trace, spans=tuple(span for span in trace.spans if span.part))


def is_disabled(environment: Mapping[str, str]) -> bool:
    """Return whether the standard variable turns all telemetry off."""
    return environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def bounds_of(slo: Slo) -> tuple[float, ...]:
    """Return the bounds, in seconds, that durations are counted by exactly: the convention's, each target and its double.

    Twice a target is what alerts look at.
    """
    targets = [times * target.p95_ms / 1000 for target in slo.route for times in (1, 2)]
    return tuple(sorted({*HTTP_BOUNDS, *targets}))


def resource_of(service: str, version: str, instance: str, worker: str, environment: Mapping[str, str]) -> Resource:
    """Return the OpenTelemetry resource of a worker; the standard variables win over what the service says of itself."""
    return Resource.create(attributes_of(service, version, f"{instance}/{worker}", environment))


def attributes_of(service: str, version: str, instance: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return who is measured, by the standard variables and else by what the service says of itself."""
    own = {"service.name": service, "service.version": version, "service.instance.id": instance}
    attributes = {name: value for name, value in own.items() if value}
    for pair in environment.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        name, given, value = pair.partition("=")
        if given and name.strip():
            attributes[name.strip()] = unquote(value.strip())
    if named := environment.get("OTEL_SERVICE_NAME", "").strip():
        attributes["service.name"] = named
    return attributes
