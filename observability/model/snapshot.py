"""What a worker says about itself once a second: cumulative counts, never differences.

A lost snapshot costs freshness and never a count: the next one carries everything again.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from observability.model.anatomy import Anatomy
from observability.model.histogram import Distribution

SNAPSHOT_VERSION = 1


class SnapshotError(ValueError):
    """The bytes are not a snapshot of a version that this code reads."""


MOST_EXEMPLARS = 4
"""Exemplars that a series has at most."""


class Exemplar(msgspec.Struct, frozen=True, array_like=True):
    """A request whose trace was kept, as an example of its series. Ids are lowercase hex, ``at`` is Unix seconds."""

    seconds: float
    trace_id: str
    span_id: str
    at: float


class RouteCounts(msgspec.Struct, frozen=True, array_like=True):
    """Requests that ended alike. ``route`` is the template, ``error`` a short code or empty.

    ``exemplars`` are the newest ``MOST_EXEMPLARS`` of them whose traces were kept, oldest first.
    """

    method: str
    route: str
    status: int
    error: str
    duration: Distribution
    exemplars: tuple[Exemplar, ...] = ()


class CacheCounts(msgspec.Struct, frozen=True, array_like=True):
    """Lookups of one cache family, by what became of them, and fills that were refused."""

    family: str
    hits: int = 0
    misses: int = 0
    coalesced: int = 0
    refused: int = 0
    errors: int = 0


class PoolCounts(msgspec.Struct, frozen=True, array_like=True):
    """One connection pool of one worker. ``busy`` is connection-seconds lent out since the start.

    ``wait`` is how long callers waited for a connection, ``use`` how long they kept it, ``create`` how long new ones took.
    """

    name: str
    size: int
    open: int = 0
    in_use: int = 0
    pending: int = 0
    high_water: int = 0
    timeouts: int = 0
    busy: float = 0.0
    wait: Distribution = Distribution()
    use: Distribution = Distribution()
    create: Distribution = Distribution()


class HashCounts(msgspec.Struct, frozen=True, array_like=True):
    """The password hashing queue of one worker."""

    threads: int
    limit: int
    queued: int = 0
    refused: int = 0
    wait: Distribution = Distribution()
    duration: Distribution = Distribution()


class RedisServer(msgspec.Struct, frozen=True, array_like=True):
    """The Redis server's own figures (INFO). Counters run since the server started; memory is bytes."""

    run_id: str
    hits: int = 0
    misses: int = 0
    evicted: int = 0
    expired: int = 0
    memory_used: int = 0
    memory_max: int = 0
    policy: str = ""


class Runtime(msgspec.Struct, frozen=True, array_like=True):
    """The worker process: CPU seconds since its start, resident bytes, how late its event loop runs, open files and tasks.

    0 open files, tasks or threads is what a version said that did not count them. ``gc_pauses`` are seconds that the garbage
    collector held the process up, ``gc_collections`` how often it ran for each generation.
    """

    cpu: float = 0.0
    rss: int = 0
    loop_lag: Distribution = Distribution()
    open_files: int = 0
    tasks: int = 0
    threads: int = 0
    gc_pauses: Distribution = Distribution()
    gc_collections: tuple[int, ...] = ()


class ExportCounts(msgspec.Struct, frozen=True, array_like=True):
    """What became of a worker's spans on their way out: accepted, refused by a full queue, or lost in a failed export.

    ``failures`` are exports that failed, of spans and of metrics. Of metrics nothing is lost: the next carry it.
    """

    accepted: int = 0
    refused: int = 0
    lost: int = 0
    failures: int = 0


class Operation(msgspec.Struct, frozen=True, array_like=True):
    """One kind of operation on a store: a query by its name, or a Redis command. Durations are without the wait for a connection.

    ``items`` are the rows that queries returned, or the keys or commands of a batch. ``duration`` is that of all, ``failed``
    that of those which failed by the kinds of their errors.
    """

    system: Literal["postgresql", "redis"]
    name: str
    duration: Distribution
    errors: int = 0
    items: int = 0
    failed: tuple[tuple[str, Distribution], ...] = ()


class BodySizes(msgspec.Struct, frozen=True, array_like=True):
    """Sizes of the bodies of one route's requests and responses, in MiB: the histogram's seconds then reach from 8 bytes to 64 MiB.

    Empty bodies are in the lowest bucket.
    """

    method: str
    route: str
    request: Distribution
    response: Distribution


class Blocked(msgspec.Struct, frozen=True, array_like=True):
    """A tick of the event loop that took too long. ``at`` is the Unix second in which it began; ``number`` counts from 1 in a worker's life.

    ``function`` is what ran, as "name (file.py:12)", ``stack`` all frames like that, outermost first. ``delayed`` are the
    requests that were on the way meanwhile, as ("GET /route", how many). ``at_end``: a call outside Python gave no thread a
    turn, so that only the end was seen, and the function is the one that came back from such a call.
    """

    number: int
    at: float
    seconds: float
    function: str
    stack: tuple[str, ...] = ()
    delayed: tuple[tuple[str, int], ...] = ()
    at_end: bool = False


MOST_BLOCKED = 8
"""The newest of them that a snapshot carries."""


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """How many requests were kept as traces, and why; ``refused`` would have been but for the bound on how many a second."""

    slow: int = 0
    failed: int = 0
    sampled: int = 0
    asked: int = 0
    refused: int = 0


class TelemetryCost(msgspec.Struct, frozen=True, array_like=True):
    """What telemetry costs this worker. ``seconds`` is the time that ``requests`` timed requests spent in it.

    ``published`` are bytes of snapshots and kept traces. ``series`` of at most ``most_series`` are in use; requests past
    that are counted in ``overflowed``.
    """

    seconds: float = 0.0
    requests: int = 0
    published: int = 0
    series: int = 0
    most_series: int = 0
    overflowed: int = 0


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """Everything a worker has counted since it started.

    ``worker`` names one life of one process, so that counts of a replaced worker are never mixed with its successor's.
    ``started`` and ``taken`` are Unix seconds. ``bounds`` are the seconds that the durations of requests are split at.
    ``database_cpu`` is the share of its machine's processors that the database uses, from a worker that can see it.
    ``active`` are requests on the way by method. ``release`` is the service's version and ``about`` the versions that it
    runs on, as ("python", "3.11.7"). ``namespaces`` are the databases that operations are of, as ("postgresql", "gatewatch").
    ``scheme`` is "https" where requests come over TLS.
    """

    version: int
    instance: str
    worker: str
    pid: int
    started: float
    taken: float
    requests: tuple[RouteCounts, ...] = ()
    caches: tuple[CacheCounts, ...] = ()
    pools: tuple[PoolCounts, ...] = ()
    hashing: HashCounts | None = None
    redis: RedisServer | None = None
    runtime: Runtime = Runtime()
    in_flight: int = 0
    bounds: tuple[float, ...] = ()
    export: ExportCounts | None = None
    database_cpu: float | None = None
    anatomy: tuple[Anatomy, ...] = ()
    operations: tuple[Operation, ...] = ()
    bodies: tuple[BodySizes, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    kept: Kept = Kept()
    cost: TelemetryCost = TelemetryCost()
    active: tuple[tuple[str, int], ...] = ()
    release: str = ""
    about: tuple[tuple[str, str], ...] = ()
    namespaces: tuple[tuple[str, str], ...] = ()
    scheme: str = "http"


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return a snapshot as MessagePack."""
    return _encoder.encode(snapshot)


def decode_snapshot(raw: bytes) -> Snapshot:
    """Read a snapshot; raise SnapshotError for other bytes or another version."""
    try:
        snapshot = _decoder.decode(raw)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SnapshotError(f"not a snapshot: {error}") from error
    if snapshot.version != SNAPSHOT_VERSION:
        raise SnapshotError(f"snapshot version {snapshot.version}, this code reads {SNAPSHOT_VERSION}")
    return snapshot
