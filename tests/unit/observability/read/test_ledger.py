"""The ledger's bounds: a day of snapshots and a thousand workers take no more than an hour and 256 of them."""

from __future__ import annotations

import msgspec

from observability.model import SNAPSHOT_VERSION, Distribution, RedisServer, RouteCounts, Snapshot
from observability.read.history import FINE_SECONDS, HOUR, TEN
from observability.read.ledger import MOST_WORKERS, Ledger
from observability.read.stores import store_column


def snapshot(worker: str, taken: float) -> Snapshot:
    """Return an empty snapshot."""
    return Snapshot(SNAPSHOT_VERSION, "here", worker, 1, 0.0, taken)


def test_a_long_life_is_bounded() -> None:
    """Hours of snapshots leave five minutes of seconds and an hour of tens."""
    ledger = Ledger()
    for second in range(5000):
        ledger.ingest(snapshot("w", float(second)))
        ledger.forget(float(second))
    assert len(ledger.history.fine) == FINE_SECONDS
    assert len(ledger.history.coarse) == HOUR // TEN


def test_workers_are_bounded() -> None:
    """Past the bound the worker longest silent is forgotten."""
    ledger = Ledger()
    for n in range(MOST_WORKERS + 100):
        ledger.ingest(snapshot(f"w{n}", float(n)))
    assert len(ledger.tracks) == MOST_WORKERS
    assert "w0" not in ledger.tracks


def test_a_worker_long_gone_is_forgotten() -> None:
    """A worker that was silent for longer than columns reach is gone."""
    ledger = Ledger()
    ledger.ingest(snapshot("w", 0.0))
    ledger.forget(FINE_SECONDS + 1.0)
    assert ledger.tracks == {}


def test_what_cannot_be_true_is_refused() -> None:
    """Buckets outside the layout and negative counts are refused and counted."""
    ledger = Ledger()
    for wrong in (Distribution(offset=10_000, counts=(1,)), Distribution(offset=0, counts=(-1,))):
        bad = msgspec.structs.replace(snapshot("w", 1.0), requests=(RouteCounts("GET", "/", 200, "", wrong),))
        assert not ledger.ingest(bad)
    assert ledger.refused == 2
    assert ledger.newest is None


def test_memory_is_known_of_every_second_of_a_young_fleet() -> None:
    """Before a minute is over, too, each second has the memory of the newest sample."""
    ledger = Ledger()
    for second in range(1, 16):
        ledger.ingest(msgspec.structs.replace(snapshot("w", float(second)), redis=RedisServer("r", memory_used=second)))
    assert [store_column(ledger, 1, end).memory_used for end in range(2, 16)] == list(range(2, 16))
