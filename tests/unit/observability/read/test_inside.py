"""The inside of slots: anatomy, operations, bodies and kept traces are merged exactly, never negative, never doubled."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.model import (
    SNAPSHOT_VERSION,
    Anatomy,
    Band,
    BodySizes,
    Histogram,
    Kept,
    Operation,
    Snapshot,
)
from observability.model.histogram import Distribution
from observability.read.inside import InsideSum
from observability.read.ledger import Ledger
from observability.read.slot import Slot, Sum

BEGIN = 1_000_000
DURATIONS = (0.0005, 0.004, 0.05, 0.3)


def distribution(done: list[float]) -> Distribution:
    """Return the histogram of some durations."""
    histogram = Histogram()
    for seconds in done:
        histogram.record(seconds)
    return histogram.freeze()


def anatomy(done: list[float]) -> tuple[Anatomy, ...]:
    """Return the anatomy of requests of which half was SQL and an eighth the wait for its connection."""
    bands: dict[int, list[float]] = {}
    for seconds in done:
        bands.setdefault(math.ceil(2 * math.log2(seconds)) - 1, []).append(seconds)
    found = [
        Band(index, len(took), sum(took), (0.0, 0.0, 0.0, sum(took) / 8, sum(took) / 2, 0.0))
        for index, took in sorted(bands.items())
    ]
    return (Anatomy("GET", "/a", tuple(found)),) if found else ()


def snapshot(worker: str, taken: float, done: list[float], started: float = BEGIN) -> Snapshot:
    """Return a worker's snapshot after requests that took so long, each with one query and a body of one MiB."""
    sizes = distribution([1.0] * len(done))
    return Snapshot(
        SNAPSHOT_VERSION,
        "here",
        worker,
        1,
        started,
        taken,
        anatomy=anatomy(done),
        operations=(Operation("postgresql", "find", distribution(done), items=2 * len(done)),) if done else (),
        bodies=(BodySizes("GET", "/a", sizes, Distribution()),) if done else (),
        kept=Kept(slow=len(done)),
    )


@st.composite
def lives(draw: st.DrawFn) -> list[list[Snapshot]]:
    """Return some workers' lives, each a snapshot a second of ever more requests."""
    made = []
    for number in range(draw(st.integers(1, 3))):
        done: list[float] = []
        life = []
        for second in range(1, draw(st.integers(1, 15)) + 1):
            done = done + draw(st.lists(st.sampled_from(DURATIONS), max_size=3))
            life.append(snapshot(f"w{number}", BEGIN + second, done, BEGIN + 0.5))
        made.append(life)
    return made


@settings(max_examples=60, deadline=None)
@given(lives(), st.data())
def test_the_inside_is_the_plain_sum(made: list[list[Snapshot]], data: st.DataObject) -> None:
    """In whatever order, with whatever losses and doubles: it is each life's newest heard state, summed."""
    heard = data.draw(st.lists(st.sampled_from([snap for life in made for snap in life]), max_size=60))
    ledger = Ledger()
    newest: dict[str, Snapshot] = {}
    for snap in heard:
        ledger.ingest(snap)
        if snap.worker not in newest or snap.taken > newest[snap.worker].taken:
            newest[snap.worker] = snap
    expected = InsideSum(500)
    for snap in newest.values():
        expected.add(Slot(0, 1, operations=snap.operations, anatomy=snap.anatomy, kept=snap.kept))
    for tier in (ledger.history.fine, ledger.history.coarse):
        seen = Sum.of(tier.within(BEGIN - 10, BEGIN + 100)).inside
        assert seen.kept == expected.kept
        assert {k: (o.duration.buckets, o.items) for k, o in seen.operations.items()} == {
            k: (o.duration.buckets, o.items) for k, o in expected.operations.items()
        }
        assert seen.anatomy.keys() == expected.anatomy.keys()
        for route, bands in seen.anatomy.items():
            assert {i: band.count for i, band in bands.items()} == {
                i: band.count for i, band in expected.anatomy[route].items()
            }
            for index, band in bands.items():
                assert band.total == pytest.approx(expected.anatomy[route][index].total)
                assert band.parts == pytest.approx(expected.anatomy[route][index].parts)
        assert sum(body.request for body in seen.bodies.values()) == pytest.approx(expected.kept.slow)


WRONG: dict[str, dict[str, Any]] = {
    "a band that lost a request": {"anatomy": anatomy([0.05])},
    "a route that is gone": {"anatomy": ()},
    "an operation that is gone": {"operations": ()},
    "an operation that lost rows": {"operations": (Operation("postgresql", "find", distribution([0.05] * 2)),)},
    "fewer kept traces": {"kept": Kept()},
    "a band outside the layout": {"anatomy": (Anatomy("GET", "/a", (Band(99, 9, 1.0, (0.0,) * 6),)),)},
    "other parts": {"anatomy": (Anatomy("GET", "/a", (Band(0, 9, 1.0, (0.0,)),)),)},
    "no number": {"anatomy": (Anatomy("GET", "/a", (Band(0, 9, math.nan, (0.0,) * 6),)),)},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_refused(name: str) -> None:
    """A snapshot whose inside is smaller than it was, or cannot be true, changes nothing."""
    ledger = Ledger()
    ledger.ingest(snapshot("w", BEGIN + 1, [0.05, 0.05]))
    before = ledger.history.fine.at(BEGIN + 1)
    wrong = msgspec.structs.replace(snapshot("w", BEGIN + 2, [0.05, 0.05, 0.05]), **WRONG[name])
    assert not ledger.ingest(wrong)
    assert ledger.refused == 1
    assert ledger.history.fine.at(BEGIN + 1) == before
    assert ledger.ingest(snapshot("w", BEGIN + 3, [0.05, 0.05, 0.3]))


def test_ever_more_routes_and_operations_are_bounded() -> None:
    """Past the most, the rest are one: nothing is lost and nothing grows."""
    total = InsideSum(10)
    for n in range(100):
        operation = Operation("redis", f"command{n}", distribution([0.01]))
        bands = (Band(0, 1, 1.0, (0,) * 6),)
        total.add(Slot(0, 1, operations=(operation,), anatomy=(Anatomy("GET", f"/{n}", bands),)))
    assert len(total.operations) == len(total.anatomy) == 11
    assert sum(one.duration.count for one in total.operations.values()) == 100
    assert sum(band.count for bands in total.anatomy.values() for band in bands.values()) == 100
