"""The view: the service's own routes, judged against their targets; errors are what was our fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from observability.model import RouteTarget, Slo
from observability.read.figures import view_of
from observability.read.ledger import Ledger
from observability.record import Recorder

if TYPE_CHECKING:
    from observability.read.view import RouteView, View

SLO = Slo(
    route=(
        RouteTarget(name="me", method="GET", route="/me", p95_ms=100),
        RouteTarget(name="unused", method="GET", route="/unused", p95_ms=100),
    ),
    fewest_samples=10,
)


def _view(recorder: Recorder) -> View:
    ledger = Ledger(("/console",))
    taken = recorder.snapshot()
    ledger.ingest(taken)
    return view_of(ledger, taken.taken, "worker", "", SLO, ("/console",))


def _route(recorder: Recorder, route: str) -> RouteView:
    return next(r for r in _view(recorder).routes if r.route == route)


@pytest.mark.parametrize(
    ("count", "seconds", "judgement"), [(9, 0.01, "too few"), (10, 0.01, "met"), (10, 0.2, "missed")]
)
def test_a_route_is_judged_against_its_target(count: int, seconds: float, judgement: str) -> None:
    """A p95 within the target is met, above it is missed, and of too few samples says nothing."""
    recorder = Recorder(instance="here")
    for _ in range(count):
        recorder.requests.record("GET", "/me", 200, "", seconds)
    assert _route(recorder, "/me").judgement == judgement


def test_a_route_with_a_target_is_shown_unused() -> None:
    """A route that has a target is in the view before anybody asks for it, its figures unknown."""
    route = _route(Recorder(instance="here"), "/unused")
    assert (route.judgement, route.latency.p95, route.error_rate) == ("too few", None, None)


def test_internal_routes_stay_out() -> None:
    """Requests to the console neither add to the rate nor show as routes; one merely spelt alike does."""
    recorder = Recorder(instance="here")
    for route in ("/console", "/console/events", "/consoles"):
        recorder.requests.record("GET", route, 200, "", 0.01)
    seen = _view(recorder)
    assert seen.latency.count == 1
    assert "/consoles" in {r.route for r in seen.routes}
    assert "/console/events" not in {r.route for r in seen.routes}


def test_errors_are_our_fault() -> None:
    """A 5xx and a response we did not finish are errors; a 4xx and a client that left are not."""
    recorder = Recorder(instance="here")
    for status, error in ((200, ""), (401, "x"), (0, "disconnected"), (500, ""), (0, "aborted"), (200, "truncated")):
        recorder.requests.record("GET", "/me", status, error, 0.01)
    route = _route(recorder, "/me")
    assert (route.errors, route.error_rate) == (3, 0.5)
    assert route.latency.count == 4


def test_unmatched_paths_have_a_name() -> None:
    """Requests that matched no route are shown as such."""
    recorder = Recorder(instance="here")
    recorder.requests.record("GET", "", 404, "", 0.01)
    assert _route(recorder, "(unmatched)").judgement == "no target"


def test_parts_are_summed() -> None:
    """Cache, pool and hashing figures are those of the worker's meters."""
    recorder = Recorder(instance="here")
    cache = recorder.cache("session")
    cache.hits, cache.misses = 3, 1
    pool = recorder.pool("postgresql", 10)
    pool.enqueue()
    pool.lend(0.02)
    recorder.hashing(2, 16).refuse()
    seen = _view(recorder)
    assert seen.hit_rate == 0.75
    assert seen.pool is not None
    assert (seen.pool.size, seen.pool.in_use, seen.pool.high_water) == (10, 1, 1)
    assert seen.pool.wait_p95 == pytest.approx(0.02, rel=0.022)
    assert seen.hashing is not None
    assert (seen.hashing.threads, seen.hashing.refused) == (2, 1)


def test_database_cpu_is_of_who_can_see_it() -> None:
    """Of several workers the one that can see the database's processes is believed; nobody's figure is unknown."""
    ledger = Ledger()
    for name, share in (("blind", None), ("seeing", 0.4)):
        recorder = Recorder(instance=name)
        recorder.database_cpu = share
        ledger.ingest(recorder.snapshot())
        shown = view_of(ledger, ledger.newest or 0, "fleet", "", SLO, ())
        assert shown.database_cpu == share
