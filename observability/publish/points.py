"""Families of metrics as OTLP takes them: the SDK's public point classes, cumulative."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

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

from observability.model.histogram import SCALE
from observability.publish.families import Attributes, Durations, Numbers, families_of

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from observability.model import Distribution, Snapshot
    from observability.publish.families import Family

SCOPE = InstrumentationScope("observability")
_CUMULATIVE = AggregationTemporality.CUMULATIVE


def metrics_of(snapshot: Snapshot, resource: Resource) -> MetricsData:
    """Return everything in a snapshot as metrics of one resource."""
    points = _Points(snapshot)
    metrics = tuple(points.of(family) for family in families_of(snapshot))
    return MetricsData((ResourceMetrics(resource, (ScopeMetrics(SCOPE, metrics, ""),), ""),))


class _Points:
    """Makes data points that share a snapshot's start and time."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._start = int(snapshot.started * 1e9)
        self._time = int(snapshot.taken * 1e9)

    def of(self, family: Family) -> Metric:
        """Return a family with its data points."""
        if isinstance(family, Durations):
            distributions = tuple(self._distribution(*point) for point in family.points)
            return Metric(family.name, family.says, "s", ExponentialHistogram(distributions, _CUMULATIVE))
        return Metric(family.name, family.says, family.unit, self._numbers(family))

    def _numbers(self, family: Numbers) -> Sum | Gauge:
        points = tuple(NumberDataPoint(a, self._start, self._time, value) for a, value in family.points)
        if family.kind == "gauge":
            return Gauge(points)
        return Sum(points, _CUMULATIVE, is_monotonic=family.kind == "count")

    def _distribution(self, attributes: Attributes, value: Distribution) -> ExponentialHistogramDataPoint:
        # The exact least and greatest are not kept. Protobuf leaves both out for None, which the SDK's types do not say.
        unknown = cast("float", None)
        return ExponentialHistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=self._start,
            time_unix_nano=self._time,
            count=value.count,
            sum=value.total,
            scale=SCALE,
            zero_count=0,
            positive=Buckets(value.offset, value.counts),
            negative=Buckets(0, ()),
            flags=0,
            min=unknown,
            max=unknown,
        )
