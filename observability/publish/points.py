"""Families of metrics as OTLP takes them: the SDK's public point classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from observability.model import Distribution, Exemplar, Histogram
from observability.model.histogram import LOWEST_INDEX, SCALE
from observability.publish.families import families_of
from observability.publish.family import Attributes, Distributions, Numbers

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from observability.model import Snapshot
    from observability.publish.family import Family

SCOPE = InstrumentationScope("observability")
_CUMULATIVE = AggregationTemporality.CUMULATIVE
_DELTA = AggregationTemporality.DELTA


class Temporality(NamedTuple):
    """Whether counts and distributions go out as they are or as differences. Levels are never differences."""

    counts: AggregationTemporality = _CUMULATIVE
    durations: AggregationTemporality = _CUMULATIVE


PREFERENCES = {
    "cumulative": Temporality(),
    "delta": Temporality(_DELTA, _DELTA),
    # What we count is all read from snapshots, as asynchronous counters are, for which this preference is cumulative.
    "lowmemory": Temporality(_CUMULATIVE, _DELTA),
}
"""What ``OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`` may say."""


def metrics_of(
    snapshot: Snapshot,
    resource: Resource,
    temporality: Temporality = PREFERENCES["cumulative"],
    since: Snapshot | None = None,
) -> MetricsData:
    """Return everything in a snapshot as metrics of one resource; differences are from ``since``, None for the start."""
    points = _Points(snapshot, temporality, since)
    metrics = tuple(points.of(family) for family in families_of(snapshot))
    return MetricsData((ResourceMetrics(resource, (ScopeMetrics(SCOPE, metrics, ""),), ""),))


class _Points:
    """Makes data points that share a snapshot's start and time."""

    def __init__(self, snapshot: Snapshot, temporality: Temporality, since: Snapshot | None) -> None:
        self._temporality = temporality
        self._started = int(snapshot.started * 1e9)
        self._since = int(since.taken * 1e9) if since else self._started
        self._time = int(snapshot.taken * 1e9)
        self._before = _values(since) if since else {}

    def of(self, family: Family) -> Metric:
        """Return a family with its data points."""
        if isinstance(family, Distributions):
            return Metric(family.name, family.says, family.unit, self._histogram(family))
        return Metric(family.name, family.says, family.unit, self._numbers(family))

    def _numbers(self, family: Numbers) -> Sum | Gauge:
        delta = family.kind == "count" and self._temporality.counts is _DELTA
        start = self._since if delta else self._started
        points = tuple(
            NumberDataPoint(attributes, start, self._time, value - self._number_before(family, attributes) * delta)
            for attributes, value in family.points
        )
        if family.kind == "gauge":
            return Gauge(points)
        return Sum(points, _DELTA if delta else _CUMULATIVE, is_monotonic=family.kind == "count")

    def _histogram(self, family: Distributions) -> ExponentialHistogram:
        delta = self._temporality.durations is _DELTA
        start = self._since if delta else self._started
        points = []
        for position, (attributes, value) in enumerate(family.points):
            distribution = self._grown(family, attributes, value) if delta else value
            exemplars = family.exemplars[position] if family.exemplars else ()
            points.append(self._distribution(family, attributes, distribution, exemplars, start))
        return ExponentialHistogram(points, self._temporality.durations)

    def _number_before(self, family: Numbers, attributes: Attributes) -> float:
        return cast("float", self._before.get(_key(family, attributes), 0))

    def _grown(self, family: Distributions, attributes: Attributes, value: Distribution) -> Distribution:
        grown = Histogram.of(value)
        grown.subtract(cast("Distribution", self._before.get(_key(family, attributes), Distribution())))
        return grown.freeze()

    def _distribution(
        self,
        family: Distributions,
        attributes: Attributes,
        value: Distribution,
        exemplars: tuple[Exemplar, ...],
        start: int,
    ) -> ExponentialHistogramDataPoint:
        offset, counts, zeros = value.offset, list(value.counts), 0
        if family.unit == "By" and offset == LOWEST_INDEX:
            # Most bodies are empty. The lowest bucket has them and the smallest, which count as rounded to zero.
            offset, zeros = offset + 1, counts.pop(0)
        # The exact least and greatest are not kept. Protobuf leaves both out for None, which the SDK's types do not say.
        unknown = cast("float", None)
        return ExponentialHistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=start,
            time_unix_nano=self._time,
            count=value.count,
            sum=value.total * 2**family.doublings,
            scale=SCALE,
            zero_count=zeros,
            positive=Buckets(offset + (family.doublings << SCALE), counts),
            negative=Buckets(0, ()),
            flags=0,
            min=unknown,
            max=unknown,
            exemplars=[_exemplar(e) for e in exemplars if e.at * 1e9 >= start],
        )


def _exemplar(exemplar: Exemplar) -> SdkExemplar:
    return SdkExemplar(
        {}, exemplar.seconds, int(exemplar.at * 1e9), int(exemplar.span_id, 16), int(exemplar.trace_id, 16)
    )


def _values(snapshot: Snapshot) -> dict[object, float | Distribution]:
    return {_key(f, attributes): value for f in families_of(snapshot) for attributes, value in f.points}


def _key(family: Family, attributes: Attributes) -> object:
    return family.name, frozenset(attributes.items())
