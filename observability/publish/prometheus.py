"""Snapshots of an instance's workers in Prometheus's text format 0.0.4, or in OpenMetrics for those who accept it.

Names are those of OTLP, translated by OpenTelemetry's rules: dots become underscores, units are written out, counters end
in ``_total``. Every series carries the life of its worker as ``worker``: a worker that is replaced begins new series, and
no counter ever goes back.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec
from prometheus_client import exposition, samples
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from observability.publish.families import families_of
from observability.publish.family import Distributions, Numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

    from observability.model import Distribution, Exemplar, Snapshot
    from observability.publish.family import Attributes, Family

GRID = tuple(2.0**n for n in range(-13, 6))
"""Bounds, in seconds, of what is not split elsewhere: powers of two end buckets of ours, so these counts are exact, too."""

SIZES = tuple(2.0**n for n in range(-14, 7, 2))
"""The same of sizes of bodies, in MiB: from 64 bytes to 64 MiB."""

_UNITS = {"s": "seconds", "By": "bytes"}

_Row = tuple["Snapshot", "Attributes", "float | Distribution", "tuple[Exemplar, ...]"]


class Answer(NamedTuple):
    """What is known of an instance: the newest snapshot of each worker, and whether none is missing."""

    snapshots: Sequence[Snapshot]
    complete: bool


def exposition_of(answer: Answer, about: Mapping[str, str], accept: str) -> tuple[bytes, str]:
    """Return body and content type; ``about`` are resource attributes, ``accept`` is the header of the request."""
    encode, content_type = exposition.choose_encoder(accept)
    return encode(_Families(answer, about)), content_type


class _Families(Collector):
    """Turns snapshots around: from families in each worker to workers in each family."""

    def __init__(self, answer: Answer, about: Mapping[str, str]) -> None:
        self._answer = answer
        self._about = about

    def collect(self) -> Iterator[Metric]:
        families: dict[str, tuple[Family, list[_Row]]] = {}
        for snapshot in _with_one_redis(self._answer.snapshots):
            for family in families_of(snapshot):
                _, rows = families.setdefault(family.name, (family, []))
                examples = family.exemplars if isinstance(family, Distributions) else ()
                rows.extend(
                    (snapshot, *point, exemplars)
                    for point, exemplars in zip_longest(family.points, examples, fillvalue=())
                )
        for family, rows in families.values():
            yield _histogram(family, rows) if isinstance(family, Distributions) else _numbers(family, rows)
        yield from self._of_itself()

    def _of_itself(self) -> Iterator[Metric]:
        started = GaugeMetricFamily(
            "process_start_time", "When the worker began to count, in Unix seconds.", labels=("worker",), unit="seconds"
        )
        for snapshot in self._answer.snapshots:
            started.add_metric((snapshot.worker,), snapshot.started)
        yield started
        target = GaugeMetricFamily("target_info", "What is measured.", labels=[_label(name) for name in self._about])
        target.add_metric(list(self._about.values()), 1)
        yield target
        yield GaugeMetricFamily(
            "gatewatch_metrics_complete",
            "1 when all workers of this instance are in this answer, 0 when some may be missing.",
            value=float(self._answer.complete),
        )


def _numbers(family: Numbers, rows: list[_Row]) -> Metric:
    labels = _labels_of(rows)
    kind = CounterMetricFamily if family.kind == "count" else GaugeMetricFamily
    made = kind(
        _label(family.name), family.says, labels=[*map(_label, labels), "worker"], unit=_UNITS.get(family.unit, "")
    )
    for snapshot, attributes, value, _ in rows:
        made.add_metric(_values(snapshot, attributes, labels), cast("float", value))
    return made


def _histogram(family: Distributions, rows: list[_Row]) -> Metric:
    labels = _labels_of(rows)
    made = HistogramMetricFamily(
        _label(family.name), family.says, labels=[*map(_label, labels), "worker"], unit=_UNITS[family.unit]
    )
    grid, factor = (SIZES if family.unit == "By" else GRID), 2.0**family.doublings
    for snapshot, attributes, value, exemplars in rows:
        distribution = cast("Distribution", value)
        bounds = snapshot.bounds if distribution.parts else grid
        limits = [*map(floatToGoString, (bound * factor for bound in bounds)), "+Inf"]
        counts = [*distribution.not_above(bounds), distribution.count]
        # A bucket without an exemplar has None, which the family's types do not say.
        buckets = list(zip(limits, counts, cast("list[Any]", _by_bucket(bounds, exemplars)), strict=True))
        made.add_metric(_values(snapshot, attributes, labels), buckets, distribution.total * factor)
    return made


def _by_bucket(bounds: Sequence[float], exemplars: tuple[Exemplar, ...]) -> list[samples.Exemplar | None]:
    """Return the newest exemplar of each bucket, which is as many as OpenMetrics has."""
    newest: list[samples.Exemplar | None] = [None] * (len(bounds) + 1)
    for exemplar in exemplars:
        labels = {"trace_id": exemplar.trace_id, "span_id": exemplar.span_id}
        newest[bisect_left(bounds, exemplar.seconds)] = samples.Exemplar(labels, exemplar.seconds, exemplar.at)
    return newest


def _with_one_redis(snapshots: Sequence[Snapshot]) -> Iterator[Snapshot]:
    """Leave the figures of the Redis server, which all workers see, to the oldest of them: a sum must not multiply them."""
    oldest = min(snapshots, key=lambda s: (s.started, s.worker), default=None)
    for snapshot in snapshots:
        yield snapshot if snapshot is oldest else msgspec.structs.replace(snapshot, redis=None)


def _labels_of(rows: list[_Row]) -> list[str]:
    """Return every attribute that a row of a family has: all its series must have the same labels."""
    return list(dict.fromkeys(name for _, attributes, _, _ in rows for name in attributes))


def _values(snapshot: Snapshot, attributes: Attributes, labels: list[str]) -> list[str]:
    return [*(str(attributes.get(name, "")) for name in labels), snapshot.worker]


def _label(name: str) -> str:
    return name.replace(".", "_")
