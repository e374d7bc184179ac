"""The hour: exact whatever is lost, late, doubled or restarted, and never larger than it says."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.model import (
    SNAPSHOT_VERSION,
    Anatomy,
    Band,
    CacheCounts,
    Distribution,
    Histogram,
    Kept,
    Operation,
    RouteCounts,
    Snapshot,
    decode_snapshot,
    encode_snapshot,
)
from observability.read.columns import column_at, column_of_step
from observability.read.history import FINE_SECONDS, HOUR, MOST_COARSE_BYTES, MOST_FINE_BYTES, TEN, Tier
from observability.read.ledger import MEMORY_BYTES, MOST_WORKERS, Ledger
from observability.read.slot import Slot, Sum
from observability.read.stretch import where
from observability.read.turns import Turns
from observability.read.window import Window

BEGIN = 1_000_000
DURATIONS = (0.001, 0.004, 0.05, 0.3)
FAST = 0.01


def snapshot(worker: str, taken: float, done: list[float], started: float = 0.0) -> Snapshot:
    """Return a worker's snapshot after requests that took so long."""
    histogram = Histogram()
    for seconds in done:
        histogram.record(seconds)
    counts = (RouteCounts("GET", "/a", 200, "", histogram.freeze()),) if done else ()
    slow = sum(seconds > FAST for seconds in done)
    bands = [Band(index, count, 0.1 * count, (0.0,) * 6) for index, count in ((-17, len(done) - slow), (-4, slow))]
    return Snapshot(
        SNAPSHOT_VERSION,
        "here",
        worker,
        1,
        started,
        taken,
        requests=counts,
        caches=(CacheCounts(f"family {worker}", hits=len(done)),),
        anatomy=(Anatomy("GET", "/a", tuple(band for band in bands if band.count)),) if done else (),
        operations=tuple(Operation("postgresql", "query", c.duration, items=slow) for c in counts),
        kept=Kept(slow=slow),
    )


@st.composite
def lives(draw: st.DrawFn) -> list[list[Snapshot]]:
    """Return some workers' lives, each a snapshot a second of ever more requests; a restart is another life."""
    made = []
    for number in range(draw(st.integers(1, 4))):
        started = BEGIN + draw(st.integers(0, 20))
        done: list[float] = []
        life = []
        for second in range(1, draw(st.integers(1, 25)) + 1):
            done = done + draw(st.lists(st.sampled_from(DURATIONS), max_size=3))
            life.append(snapshot(f"w{number}", started + second, done, started + 0.5))
        made.append(life)
    return made


@settings(max_examples=100, deadline=None)
@given(lives(), st.data())
def test_the_hour_is_the_plain_sum(made: list[list[Snapshot]], data: st.DataObject) -> None:
    """In whatever order, with whatever losses and doubles: what was done is each life's newest heard state, summed."""
    every = [snap for life in made for snap in life]
    heard = data.draw(st.lists(st.sampled_from(every), max_size=80))
    ledger = Ledger()
    for snap in heard:
        ledger.ingest(snap)
    newest: dict[str, Snapshot] = {}
    for snap in heard:
        if snap.worker not in newest or snap.taken > newest[snap.worker].taken:
            newest[snap.worker] = snap
    expected = Histogram.of(*(counts.duration for snap in newest.values() for counts in snap.requests))
    for tier in (ledger.history.fine, ledger.history.coarse):
        seen = Sum.of(tier.within(BEGIN - TEN, BEGIN + 100))
        assert Histogram.of(*(counts.duration for counts in seen.series())).buckets == expected.buckets
    rates = [column_at(ledger, second).rate for second in range(BEGIN, BEGIN + 60)]
    assert all(rate is None or rate >= 0 for rate in rates)
    assert sum(rate or 0 for rate in rates) == expected.count


@settings(max_examples=60, deadline=None)
@given(lives(), st.data())
def test_who_was_forgotten_is_not_counted_again(made: list[list[Snapshot]], data: st.DataObject) -> None:
    """A worker that returns after it was forgotten adds nothing twice."""
    heard = data.draw(st.lists(st.sampled_from([snap for life in made for snap in life]), min_size=1, max_size=40))
    ledger = Ledger()
    for snap in heard:
        ledger.ingest(snap)
        if data.draw(st.booleans()):
            ledger.forget(snap.taken + FINE_SECONDS + 100)
    most = sum(snap.requests[0].duration.count for life in made for snap in life[-1:] if snap.requests)
    done = Sum.of(ledger.history.coarse.within(BEGIN - TEN, BEGIN + 100))
    assert sum(counts.duration.count for counts in done.series()) <= most


@settings(max_examples=60, deadline=None)
@given(lives(), st.data())
def test_a_sum_that_moves_on_is_the_sum_of_what_is_there(made: list[list[Snapshot]], data: st.DataObject) -> None:
    """What was added and taken out in whatever order, late snapshots among it, leaves what adding up anew would give."""
    ledger, turns, window = Ledger(), Turns(), Window()

    async def follow() -> None:
        for snap in data.draw(st.lists(st.sampled_from([snap for life in made for snap in life]), max_size=60)):
            ledger.ingest(snap, fine=data.draw(st.booleans()))
            newest = ledger.newest or 0.0
            there = where(ledger, data.draw(st.sampled_from([3, 12, 60])), newest, past=data.draw(st.booleans()))
            anew = Sum.of(tier.read(mark) for tier, end in there.slots if (mark := tier.mark(end)) is not None)
            frozen = await window.sum(there.slots, turns, Sum.freeze)
            assert _plain(frozen) == _plain(anew.freeze())

    asyncio.run(follow())


def _plain(slot: Slot) -> tuple[object, ...]:
    """Return what must be the same: all but rounding."""
    series = {(c.method, c.route, c.status): (c.duration.offset, c.duration.counts) for c in slot.requests}
    anatomy = {(a.route, band.index): band.count for a in slot.anatomy for band in a.bands}
    operations = {o.name: (o.duration.counts, o.errors, o.items) for o in slot.operations}
    return slot.begin, slot.snapshots, series, anatomy, operations, set(slot.caches), slot.kept, slot.loop_lag.counts


def test_a_series_that_shrank_is_refused() -> None:
    """A snapshot in which a bucket, a series or a counter is smaller than it was changes nothing."""
    ledger = Ledger()
    ledger.ingest(snapshot("w", BEGIN, [0.01, 0.5], BEGIN - 1))
    for wrong in ([0.01, 0.01, 0.01], [0.5], []):
        assert not ledger.ingest(snapshot("w", BEGIN + 1, wrong, BEGIN - 1))
    assert ledger.refused == 3
    assert ledger.ingest(snapshot("w", BEGIN + 2, [0.01, 0.5, 0.5], BEGIN - 1))
    assert sum(tier.at(BEGIN + 2) is not None for tier in (ledger.history.fine,)) == 1


def test_missing_tens_are_gaps() -> None:
    """Ten seconds in which nobody was heard are unknown, those in which nobody asked are zero."""
    ledger = Ledger()
    for second in [*range(1, 21), *range(41, 51)]:
        ledger.ingest(snapshot("w", BEGIN + second, [0.01] * second, BEGIN))
    rates = [column_of_step(ledger, BEGIN + end, TEN).rate for end in (10, 20, 30, 40, 50, 60)]
    assert rates[:4] == [1, 1, None, None]
    assert rates[5] is None
    assert column_of_step(ledger, BEGIN + 60, 60).p50 == pytest.approx(0.01, rel=0.022)


def test_a_tier_keeps_to_its_bytes() -> None:
    """Past its bytes a tier drops its oldest slots, and says how far it still reaches back."""
    tier = Tier(1, 1000, 20_000)
    durations = Distribution(0, (1,) * 50)
    for second in range(1000):
        tier.add(second, Slot(second, 1, (RouteCounts("GET", "/a", 200, "", durations),)))
        assert tier.bytes <= 20_000
    assert tier.oldest is not None
    assert 500 < tier.oldest < 990
    assert tier.at(999) is not None


def _said(worker: str, taken: float, count: int, routes: int, started: float = 0) -> Snapshot:
    """Return a snapshot as it comes off the wire, with this many requests in each of fifty buckets of each series."""
    series = tuple(
        RouteCounts("GET", f"/route/{n}/{{id}}", status, "", Distribution(-160, (count,) * 50, 0.1 * count))
        for n in range(routes)
        for status in (200, 503)
    )
    bands = tuple(Band(index, count, 0.1 * count, (0.01 * count,) * 6) for index in range(-20, -14))
    said = Snapshot(
        SNAPSHOT_VERSION,
        "here",
        worker,
        1,
        started,
        taken,
        series,
        anatomy=tuple(Anatomy("GET", f"/route/{n}/{{id}}", bands) for n in range(routes)),
        operations=tuple(
            Operation("postgresql", f"query_{n}", Distribution(-160, (count,) * 50, 0.1 * count)) for n in range(routes)
        ),
    )
    return decode_snapshot(encode_snapshot(said))


def test_many_workers_and_routes_stay_within_the_bound() -> None:
    """As many workers as are remembered, of 64 series each, their anatomy and queries, and slots to the last byte take no more than is said."""
    tracemalloc.start()
    try:
        ledger = Ledger()
        for worker in range(MOST_WORKERS + 20):
            ledger.ingest(_said(f"w{worker}", BEGIN, 1000, 32))
        for step in range(1, 100):
            ledger.ingest(_said("w99", BEGIN + step * TEN, 1000 + step * 300, 32), fine=False)
        for second in range(1001, 1050):
            ledger.ingest(_said("w99", BEGIN + second, 200_000 + second, 32))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(ledger.tracks) == MOST_WORKERS
    assert len(ledger.history.coarse) > 100
    room = MOST_FINE_BYTES + MOST_COARSE_BYTES - ledger.history.fine.bytes - ledger.history.coarse.bytes
    assert taken + room < MEMORY_BYTES


def test_a_day_takes_no_more_than_two_hours() -> None:
    """Twenty-four hours by the clock, a worker replaced each hour, leave what two hours leave."""
    ledger = Ledger()
    sizes = []
    for step in range(24 * HOUR // TEN):
        hour, within = divmod(step, HOUR // TEN)
        second = BEGIN + step * TEN
        ledger.ingest(_said(f"w{hour}", second, within, 1, BEGIN + hour * HOUR))
        ledger.forget(second)
        if within == HOUR // TEN - 1:
            coarse, fine = ledger.history.coarse, ledger.history.fine
            sizes.append((len(ledger.tracks), len(coarse), len(fine), coarse.bytes + fine.bytes))
    assert max(sizes) == max(sizes[:2])
