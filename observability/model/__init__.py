"""The words that recorders, publishers, readers and the load generator share."""

from observability.model.histogram import Distribution, Histogram
from observability.model.slo import AlertRule, BurnRule, RouteTarget, Slo, SloError, load_slo
from observability.model.snapshot import (
    SNAPSHOT_VERSION,
    CacheCounts,
    Exemplar,
    ExportCounts,
    HashCounts,
    PoolCounts,
    RedisServer,
    RouteCounts,
    Runtime,
    Snapshot,
    SnapshotError,
    decode_snapshot,
    encode_snapshot,
)

__all__ = [
    "SNAPSHOT_VERSION",
    "AlertRule",
    "BurnRule",
    "CacheCounts",
    "Distribution",
    "Exemplar",
    "ExportCounts",
    "HashCounts",
    "Histogram",
    "PoolCounts",
    "RedisServer",
    "RouteCounts",
    "RouteTarget",
    "Runtime",
    "Slo",
    "SloError",
    "Snapshot",
    "SnapshotError",
    "decode_snapshot",
    "encode_snapshot",
    "load_slo",
]
