"""Where the time of a request went: the parts and the rest are the whole, whatever overlaps."""

from __future__ import annotations

import random

import pytest

from observability.record.anatomy import RouteMeter, parts_of
from observability.record.current import HASH, LOOP, MOST_CHILDREN, REDIS, SQL, Current
from observability.record.requests import RequestSeries
from observability.record.stalls import Stalls
from observability.record.trace import HeadSampling


def request(*waits: tuple[int, float, float], begin: float = 10.0) -> Current:
    """Return a request that waited for (part, begin, end)."""
    made = Current(begin, None, HeadSampling())
    for part, since, until in waits:
        made.spend(part, since, until, "waited")
    return made


def test_what_follows_each_other_adds_up() -> None:
    """Waits that do not overlap are taken as they are."""
    parts = parts_of(request((REDIS, 10.1, 10.2), (SQL, 10.2, 10.5)), 11.0, Stalls())
    assert parts == pytest.approx([0, 0, 0, 0, 0.3, 0.1])


def test_what_overlaps_is_counted_once() -> None:
    """Two queries at once that take from 10.1 to 10.4 together are 0.3 s, shared in proportion."""
    parts = parts_of(request((SQL, 10.1, 10.3), (REDIS, 10.1, 10.4), (SQL, 10.2, 10.3)), 11.0, Stalls())
    assert sum(parts) == pytest.approx(0.3)
    assert parts[SQL] == pytest.approx(parts[REDIS])


def test_what_ends_later_counts_until_the_end() -> None:
    """A query that goes on after the response was sent is not more than the request."""
    parts = parts_of(request((SQL, 10.5, 12.0)), 11.0, Stalls())
    assert parts[SQL] == pytest.approx(0.5)


def test_a_stall_is_the_loops_and_not_what_it_fell_into() -> None:
    """0.2 s of stall, half of it in a query: the query has 0.1 s less, the loop 0.2 s more."""
    stalls = Stalls()
    stalls.note(10.3, 10.5)
    parts = parts_of(request((SQL, 10.1, 10.4)), 11.0, stalls)
    assert parts[SQL] == pytest.approx(0.2)
    assert parts[LOOP] == pytest.approx(0.2)
    assert parts_of(request((SQL, 10.6, 10.7), begin=10.55), 11.0, stalls)[LOOP] == 0


def test_parts_are_never_more_than_the_whole() -> None:
    """Whatever waits and stalls there were, in any order and number."""
    chance = random.Random(7)  # noqa: S311 - no secret
    for _ in range(300):
        made = Current(10.0, None, HeadSampling())
        for _ in range(chance.choice((1, 3, 20, MOST_CHILDREN + 50))):
            since = 9.9 + chance.random()
            made.spend(chance.randrange(6), since, since + chance.random() / 5, "waited")
        stalls = Stalls()
        for start in sorted(chance.random() for _ in range(3)):
            stalls.note(10 + start, 10.01 + start)
        parts = parts_of(made, 11.0, stalls)
        assert min(parts) >= 0
        assert sum(parts) <= 1.0 + 1e-9


def test_a_band_has_the_sums_of_its_requests() -> None:
    """Bands are half a doubling wide; requests of different latency are told apart, with what each waited for."""
    series = RequestSeries()
    for _ in range(3):
        series.of("GET", "/a", 200, "").record(0.9, (0, 0, 0, 0, 0.5, 0.1))
    series.of("GET", "/a", 404, "").record(0.1, (0, 0.05, 0, 0, 0, 0))
    series.of("GET", "/a", 0, "disconnected").record(0.9)
    series.freeze()
    [route], _ = series.freeze_routes()
    low, high = route.bands
    assert (low.index, low.count, high.index, high.count) == (-7, 1, -1, 3)
    assert low.total == pytest.approx(0.1)
    assert high.total == pytest.approx(2.7)
    assert high.parts == pytest.approx((0, 0, 0, 0, 1.5, 0.3))


def test_hot_requests_are_counted_as_if_one_by_one() -> None:
    """What waits to be counted together comes to the same counts, split bounds, bands and sizes, stalls included."""
    chance = random.Random(3)  # noqa: S311 - no secret
    stalls = Stalls()
    stalls.note(5.0, 5.3)
    hot, single = (RequestSeries(bounds=(0.25, 0.6)) for _ in range(2))
    series = hot.of("GET", "/a", 200, "")
    for n in range(1500):
        seconds, size = chance.lognormvariate(-1, 0.7), chance.randrange(500)
        begin = 10.0 if n % 3 else 5.3 - min(0.2, seconds / 4)
        stalled = stalls.overlap(begin, begin + seconds)
        redis = max(0.0, seconds / 2 - stalls.overlap(begin, begin + seconds / 2))
        series.count(seconds, redis, size, stalled)
        if n % 400 == 0:
            hot.freeze()
        made = Current(begin, None, HeadSampling())
        made.spend(REDIS, begin, begin + seconds / 2)
        parts = parts_of(made, begin + seconds, stalls)
        one = single.of("GET", "/a", 200, "")
        one.record(seconds, parts)
        one.route.add_bodies(0, size)
    [ours], [theirs] = hot.freeze(), single.freeze()
    assert (ours.duration.offset, ours.duration.counts) == (theirs.duration.offset, theirs.duration.counts)
    assert ours.duration.parts == theirs.duration.parts
    assert ours.duration.total == pytest.approx(theirs.duration.total)
    ([mine], [sizes]), ([other], [other_sizes]) = hot.freeze_routes(), single.freeze_routes()
    assert sizes.response.counts == other_sizes.response.counts
    assert [(b.index, b.count) for b in mine.bands] == [(b.index, b.count) for b in other.bands]
    for band, expected in zip(mine.bands, other.bands, strict=True):
        assert band.total == pytest.approx(expected.total)
        assert band.parts == pytest.approx(expected.parts)


def test_slow_is_what_is_slower_than_the_last_minutes_slowest_hundredth() -> None:
    """It follows the route, and before enough is known it is twice the target."""
    route = RouteMeter("GET", "/a", target=0.1)
    assert route.slow == 0.2
    series = RequestSeries(targets={("GET", "/a"): 0.1})
    counted = series.of("GET", "/a", 200, "")
    for n in range(1000):
        counted.record(0.01 if n % 200 else 0.5)
    now = 0.0
    series.settle(now)
    assert 0.01 <= counted.route.slow < 0.011
    for _ in range(300):
        now += 1
        for _ in range(20):
            counted.record(0.04)
        series.settle(now)
    assert 0.04 <= counted.route.slow < 0.042
    assert RouteMeter("GET", "/b").slow == float("inf")


def test_what_is_told_after_the_end_is_nobodys() -> None:
    """The sums of waits keep counting past the bound on single ones."""
    made = request(*((HASH, 10.0, 10.001) for _ in range(MOST_CHILDREN + 5)))
    assert (len(made.children), made.dropped) == (MOST_CHILDREN, 5)
    assert made.parts[HASH] == pytest.approx(0.001 * (MOST_CHILDREN + 5))
