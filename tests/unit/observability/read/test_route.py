"""A route's page: where the time of its fast and slow requests goes, its heatmap, its columns."""

from __future__ import annotations

import msgspec
import pytest

from observability.model import (
    SNAPSHOT_VERSION,
    Anatomy,
    Band,
    Blocked,
    Distribution,
    Histogram,
    RouteCounts,
    Slo,
    Snapshot,
)
from observability.model.histogram import bucket_bounds
from observability.read.detail import Period
from observability.read.route import cohorts
from observability.read.store import FleetStore

NOW = 1_000_000
FAST, SLOW = 0.003, 0.4


class Site:
    """A worker that answers fifty fast requests a second and every tenth second a slow one, of which most is pool wait."""

    def __init__(self, *, fewest: int = 59) -> None:
        self.now = float(NOW)
        self.fast = self.slow = 0
        self.blocked: tuple[Blocked, ...] = ()
        self.store = FleetStore(slo=Slo(fewest_samples=fewest), clock=lambda: self.now)

    def work(self, seconds: int, *, silent: bool = False) -> None:
        """Let time pass; while ``silent`` nobody hears of it."""
        for _ in range(seconds):
            self.now += 1
            self.fast += 50
            self.slow += self.now % 10 == 0
            if not silent:
                self.store.hold(self.snapshot())

    def snapshot(self) -> Snapshot:
        """Return what the worker says."""
        histogram = Histogram()
        for seconds, count in ((FAST, self.fast), (SLOW, self.slow)):
            one = Histogram()
            one.record(seconds)
            histogram.add(Distribution(one.freeze().offset, (count,), count * seconds))
        bands = (
            Band(-17, self.fast, FAST * self.fast, (0.0, 0.0, 0.0, 0.0, FAST / 2 * self.fast, 0.0)),
            Band(-3, self.slow, SLOW * self.slow, (0.0, 0.0, 0.0, 0.3 * self.slow, 0.05 * self.slow, 0.0)),
        )
        return Snapshot(
            SNAPSHOT_VERSION,
            "here",
            "w",
            1,
            float(NOW),
            self.now,
            requests=(
                RouteCounts("GET", "/a", 200, "", histogram.freeze()),
                RouteCounts("GET", "/b", 500, "x", histogram.freeze()),
            ),
            anatomy=(Anatomy("GET", "/a", tuple(band for band in bands if band.count)),),
            blocked=self.blocked,
        )


async def test_the_slow_wait_for_something_else_than_the_fast() -> None:
    """The p50 and the p99 cohort are whole bands of requests, and their parts add up to their mean."""
    site = Site()
    site.work(120)
    detail = await site.store.route("GET", "/a", Period(300))
    assert detail is not None
    assert {row.status: row.count for row in detail.statuses} == {200: site.fast + site.slow}
    median, slowest = detail.anatomy
    for cohort in detail.anatomy:
        assert sum(seconds for _, seconds in cohort.parts) == pytest.approx(cohort.mean)
    assert (median.cohort, median.count) == ("p50", site.fast)
    assert dict(median.parts)["sql"] == pytest.approx(FAST / 2)
    assert slowest.cohort == "p99"
    assert median.least < FAST <= median.most


def test_cohorts_lie_where_the_percentiles_do() -> None:
    """Of 200 requests, the hundredth and the 198th say which bands are looked at."""
    zero = (0.0,) * 6
    bands = [Band(-17, 190, 0.57, zero), Band(-3, 10, 4.0, (0.0, 0.0, 0.0, 3.0, 0.5, 0.0))]
    median, slowest = cohorts(reversed(bands))
    assert (median.count, slowest.count) == (190, 10)
    assert (median.mean, slowest.mean) == pytest.approx((0.003, 0.4))
    assert dict(slowest.parts)["pool_wait"] == pytest.approx(0.3)
    assert dict(slowest.parts)["rest"] == pytest.approx(0.05)
    assert cohorts([]) == ()


async def test_the_heatmap_counts_every_request() -> None:
    """Its cells add up to all requests answered, in bands that hold them; ten silent seconds are a gap."""
    site = Site()
    site.work(60)
    site.work(20, silent=True)
    site.work(31)
    detail = await site.store.route("GET", "/a", Period(300))
    assert detail is not None
    heat = detail.heatmap
    known = [column for column in heat.counts if column is not None]
    assert heat.at == tuple(range(NOW + 10, NOW + 111, 10))
    assert [heat.at[n] for n, column in enumerate(heat.counts) if column is None] == [NOW + 70, NOW + 80]
    assert all(len(column) == len(heat.bounds) - 1 for column in known)
    assert heat.bounds[0] < FAST <= heat.bounds[1]
    assert heat.bounds[-2] < SLOW <= heat.bounds[-1]
    assert sum(map(sum, known)) == 50 * 110 + 11


async def test_the_first_column_of_a_young_heatmap_is_as_long_as_the_others() -> None:
    """A service that has just started has one column of ten seconds, not one of a second."""
    site = Site()
    site.work(12)
    detail = await site.store.route("GET", "/a", Period(300))
    assert detail is not None
    assert detail.heatmap.at == (NOW + 10,)
    assert detail.heatmap.step == 10


def test_bands_are_whole_buckets() -> None:
    """Each band of latency is eight buckets of the histogram, to the last digit."""
    for band in range(-34, 12):
        assert bucket_bounds(8 * band)[0] == 2 ** (band / 2)
        assert bucket_bounds(8 * band + 7)[1] == 2 ** ((band + 1) / 2)


async def test_a_pinned_period_does_not_move() -> None:
    """What a period up to a past moment shows is the same later, and its columns are tens of seconds."""
    site = Site()
    site.work(200)
    period = Period(60, until=float(NOW + 150))
    before = await site.store.route("GET", "/a", period)
    site.work(100)
    after = await site.store.route("GET", "/a", period)
    assert before == after
    assert before is not None
    assert before.columns.at == tuple(range(NOW + 100, NOW + 151, 10))
    assert set(before.columns.rate) == {50.1}
    assert before.seconds == 60
    assert (await site.store.series(seconds=20, until=float(NOW + 150))).at == tuple(range(NOW + 131, NOW + 151))


async def test_a_route_that_nobody_knows() -> None:
    """A route with neither target nor requests is none; one with few requests has no anatomy."""
    site = Site(fewest=1000)
    site.work(5)
    assert await site.store.route("GET", "/none", Period(60)) is None
    few = await site.store.route("GET", "/a", Period(60))
    assert few is not None
    assert few.anatomy == ()
    assert few.rate == pytest.approx(50)
    failing = await site.store.route("GET", "/b", Period(60))
    assert failing is not None
    assert failing.error_rate == 1


async def test_who_was_delayed_is_told() -> None:
    """A function that blocked the loop shows on the routes that it delayed, once however often it is told."""
    site = Site()
    site.blocked = (Blocked(1, NOW + 2.0, 0.2, "parse (a.py:7)", ("main", "parse (a.py:7)"), (("GET /a", 3),)),)
    site.work(10)
    every = await site.store.blocked(Period(60))
    assert [(one.function, one.worker) for one in every] == [("parse (a.py:7)", "w")]
    details = [await site.store.route("GET", route, Period(60)) for route in ("/a", "/b")]
    assert [len(detail.blocked) for detail in details if detail] == [1, 0]
    assert (await site.store.view()).workers[0].blocked == 1


async def test_impact_and_trend_rank_routes() -> None:
    """A route's impact is the seconds it took in one second; its trend has a step for every ten."""
    site = Site()
    site.work(121)
    view = await site.store.view()
    route = view.routes[0]
    assert route.impact == pytest.approx(50 * FAST + 0.1 * SLOW, rel=0.05)
    assert len(route.trend) == 12
    assert route.trend[-1] == pytest.approx(FAST, rel=0.022)


@pytest.mark.parametrize(("asked", "given"), [(1, 60), (60, 60), (61, 300), (900, 900), (10**6, 3600)])
async def test_windows_are_few(asked: int, given: int) -> None:
    """A view is over one of four windows; its counts are of all that lies in it."""
    site = Site()
    site.work(1000)
    view = await site.store.view(asked)
    assert given <= view.window + 1 <= min(given, 1000) + 11 or view.window == 1000
    assert view.rate == pytest.approx(2 * 50.1, rel=0.01)
    assert view is await site.store.view(given)


async def test_a_view_of_the_past_is_of_that_time() -> None:
    """A view that ends at a time counts what was done before it, however much came later, and is told in tens of seconds."""
    site = Site()
    site.work(300)
    then = site.now
    site.work(300, silent=True)
    view = await site.store.view(100, until=then)
    assert (view.window, view.requests) == (100, 2 * (100 * 50 + 10))
    assert view.latency.count == view.requests
    assert (view.pool, view.redis) == (None, None)
    assert (await site.store.view()).requests == 0


async def test_what_many_ask_alike_is_computed_once() -> None:
    """Asked again within the second, a route of an hour is the same object, and the queries of that hour are."""
    site = Site()
    site.work(3600)
    period = Period(3600)
    route, operations = await site.store.route("GET", "/a", period), await site.store.operations(period)
    assert await site.store.route("GET", "/a", period) is route
    assert await site.store.operations(period) is operations


async def test_what_is_off_knows_nothing() -> None:
    """Without telemetry every question has an empty answer."""
    store = FleetStore(slo=Slo(), off="off")
    period = Period()
    assert await store.route("GET", "/a", period) is None
    assert await store.operations(period) == ()
    assert await store.blocked(period) == ()
    assert await store.annotations(period) == ()
    assert (await store.stores(period)).at == ()
    assert msgspec.structs.asdict(await store.view(3600))["reason"] == "off"
