"""Window arithmetic on cumulative snapshots: workers that start, restart, die, repeat themselves or fall silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from observability.model import SNAPSHOT_VERSION, Histogram, RedisServer, RouteCounts, Slo, Snapshot
from observability.read.columns import column_at
from observability.read.figures import view_of
from observability.read.ledger import Ledger
from observability.read.tally import server_growth

if TYPE_CHECKING:
    from observability.read.view import View

NOW = 10_000.0


def snapshot(
    worker: str, taken: float, requests: int, started: float = 0.0, redis: RedisServer | None = None
) -> Snapshot:
    """Return a worker's snapshot after this many requests."""
    histogram = Histogram()
    for _ in range(requests):
        histogram.record(0.01)
    counts = (RouteCounts("GET", "/a", 200, "", histogram.freeze()),) if requests else ()
    return Snapshot(SNAPSHOT_VERSION, "here", worker, 1, started, taken, requests=counts, redis=redis)


def view(*snapshots: Snapshot, now: float = NOW) -> View:
    """Return the figures of these snapshots."""
    ledger = Ledger()
    for one in snapshots:
        ledger.ingest(one)
    return view_of(ledger, now, "fleet", "", Slo(), ())


@pytest.mark.parametrize(
    ("snapshots", "count"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([("w", NOW - 60, 100, 0), ("w", NOW, 160, 0)], 60, id="from the window's beginning"),
        pytest.param(
            [("w", NOW - 30, 100, 0), ("w", NOW, 160, 0)], 60, id="first seen inside: what came before is not ours"
        ),
        pytest.param([("w", NOW - 20, 100, NOW - 40), ("w", NOW, 160, NOW - 40)], 160, id="started inside: all of it"),
        pytest.param([("w", NOW, 160, NOW - 40)], 160, id="started inside, seen once"),
        pytest.param([("w", NOW, 160, 0)], 0, id="seen once, started long ago"),
        pytest.param([("w", NOW - 60, 100, 0), ("w", NOW - 30, 130, 0)], 30, id="died inside: still counts"),
        pytest.param([("w", NOW - 90, 100, 0), ("w", NOW - 70, 130, 0)], 0, id="died before"),
        pytest.param([("w", NOW - 65, 100, 0), ("w", NOW, 160, 0)], 60, id="the one at the beginning is missing"),
        pytest.param(
            [("w", NOW - 60, 100, 0), ("w", NOW - 30, 130, 0), ("v", NOW - 20, 5, NOW - 25), ("v", NOW, 40, NOW - 25)],
            70,
            id="replaced: both lives count",
        ),
        pytest.param([("w", NOW - 60, 100, 0), ("w", NOW, 160, 0), ("w", NOW, 160, 0)], 60, id="doubled"),
        pytest.param([("w", NOW - 60, 100, 0), ("w", NOW, 160, 0), ("w", NOW - 10, 150, 0)], 60, id="late"),
        pytest.param([("w", NOW - 60, 100, 0), ("w", NOW, 50, 0)], 0, id="counts that fell are not believed"),
    ],
)
def test_requests_of_the_last_minute(snapshots: list[tuple[str, float, int, float]], count: int) -> None:
    """Each history gives exactly the requests that were made inside the window, never fewer than none."""
    assert view(*(snapshot(*one) for one in snapshots)).latency.count == count


def test_the_rate_is_over_the_seconds_that_are_known() -> None:
    """A worker that started ten seconds ago is judged over ten seconds."""
    seen = view(snapshot("w", NOW, 50, NOW - 10))
    assert seen.window == pytest.approx(10)
    assert seen.rate == pytest.approx(5)


def test_a_silent_worker_leaves_the_table_and_not_the_sum() -> None:
    """Ten seconds after its last snapshot a worker is not shown, and its requests still are."""
    seen = view(snapshot("dead", NOW - 60, 10), snapshot("dead", NOW - 11, 30), snapshot("live", NOW, 1))
    assert [w.worker for w in seen.workers] == ["live"]
    assert seen.latency.count == 20


def test_redis_is_one_server_for_all_workers() -> None:
    """Two workers that sample one server give its evictions once; another run id starts anew."""
    a, b = RedisServer("r", evicted=10), RedisServer("r", evicted=25)
    seen = view(
        snapshot("w", NOW - 30, 0, redis=a), snapshot("v", NOW - 30, 0, redis=a),
        snapshot("w", NOW, 0, redis=b), snapshot("v", NOW, 0, redis=b),
    )  # fmt: skip
    assert seen.redis is not None
    assert seen.redis.evictions_per_minute == 15
    samples = [(1, a), (2, b), (3, RedisServer("other", evicted=900)), (4, RedisServer("other", evicted=901))]
    assert server_growth(samples, 0, 10) == (16, 0)


def test_columns_add_up_to_the_requests() -> None:
    """The rates of all seconds add up to what was counted, a missed snapshot included."""
    ledger = Ledger()
    for second in (0, 1, 2, 3, 6, 7):
        ledger.ingest(snapshot("w", NOW + second + 0.01, 10 * second, NOW - 0.5))
    columns = [column_at(ledger, int(NOW) + second) for second in range(8)]
    rates = [column.rate or 0 for column in columns]
    assert rates == [0, 10, 10, 10, 0, 0, 30, 10]
    assert columns[3].p50 == pytest.approx(0.01, rel=0.022)


def test_a_column_before_anybody_was_heard_is_unknown() -> None:
    """Where no worker was heard a column is unknown, not zero."""
    ledger = Ledger()
    ledger.ingest(snapshot("w", NOW, 10))
    assert column_at(ledger, int(NOW) - 5).rate is None
    assert column_at(ledger, int(NOW) + 30).rate is None
    assert column_at(ledger, int(NOW)).rate == 0
