"""The sentence on top."""

from __future__ import annotations

import msgspec
import pytest

from console.tiles import tiles
from console.verdict import judge
from observability.read.view import Judgement, Latency, RouteView, Series, View

QUIET = View(
    at=0.0,
    scope="fleet",
    reason="",
    age=0.4,
    window=60,
    rate=0.0,
    errors=0,
    error_rate=None,
    latency=Latency(),
    routes=(),
    caches=(),
    hit_rate=None,
    redis=None,
    pool=None,
    hashing=None,
    workers=(),
    requests=0,
    fewest_samples=59,
)


def route(path: str, p95: float, target: float | None, judgement: Judgement) -> RouteView:
    """Make a route."""
    return RouteView("GET", path, 1.0, 0, 0.0, Latency(100, p95, p95, p95), target, judgement)


def busy(*routes: RouteView, error_rate: float = 0.0) -> View:
    """Make a view of routes."""
    latency = Latency(100, 0.1, 0.1, 0.1)
    return msgspec.structs.replace(QUIET, routes=routes, latency=latency, requests=100, error_rate=error_rate)


def test_the_worst_miss_comes_first() -> None:
    """The route that is furthest over its target is named with its figure; the others follow."""
    verdict = judge(
        busy(
            route("/a", 0.3, 0.2, "missed"),
            route("/b", 0.9, 0.3, "missed"),
            route("/c", 0.1, 0.2, "met"),
        )
    )
    assert (verdict.tone, verdict.headline) == ("bad", "/b misses: p95 900 ms of 300 ms")
    assert verdict.detail == "So does /a (300 ms of 200 ms)."


def test_a_lone_miss_is_put_beside_what_is_met() -> None:
    """With one miss the verdict says how many routes are well."""
    verdict = judge(busy(route("/a", 0.312, 0.2, "missed"), route("/c", 0.1, 0.2, "met")))
    assert verdict.headline == "/a misses: p95 312 ms of 200 ms"
    assert verdict.detail == "1 other route meets its target."


def test_fast_failures_are_not_well() -> None:
    """A service that fails quickly does not meet its targets."""
    verdict = judge(busy(route("/a", 0.001, 0.2, "met"), error_rate=0.4))
    assert (verdict.tone, verdict.headline) == ("bad", "40.0 % of requests fail")


@pytest.mark.parametrize(("requests", "headline"), [(58, "Too few requests to judge"), (59, "50.0 % of requests fail")])
def test_a_failure_among_few_is_told_and_not_judged(requests: int, headline: str) -> None:
    """Errors are judged on as many requests as latencies are; below that the verdict says how many there were."""
    few = msgspec.structs.replace(busy(error_rate=0.5), requests=requests, errors=requests // 2)
    verdict = judge(few)
    assert verdict.headline == headline
    errors = next(tile for tile in tiles(few, Series()) if tile.key == "errors")
    assert (verdict.tone, errors.tone) == (("waiting", "") if requests == 58 else ("bad", "bad"))
    if requests == 58:
        assert verdict.detail == "58 requests in the last minute, 29 of them failed; from 59 on they are judged."


@pytest.mark.parametrize(
    ("view", "headline"),
    [
        (msgspec.structs.replace(QUIET, age=None, reason="telemetry is off"), "Waiting for the first figures"),
        (QUIET, "Waiting for traffic"),
        (busy(route("/a", 0.1, 0.2, "too few")), "Too few requests to judge"),
        (busy(route("/a", 0.1, None, "no target")), "Nothing to judge"),
    ],
)
def test_nothing_is_praised_that_was_not_judged(view: View, headline: str) -> None:
    """Without a judged route the verdict waits, and says for what."""
    verdict = judge(view)
    assert (verdict.tone, verdict.headline) == ("waiting", headline)


def test_old_figures_are_not_judged() -> None:
    """A stale feed is called stale, whatever its figures say."""
    view = msgspec.structs.replace(busy(route("/a", 0.1, 0.2, "met")), age=9.0)
    assert (judge(view).tone, judge(view).headline) == ("stale", "No fresh figures for 9 s")


def test_what_is_read_out_changes_only_with_the_judgement() -> None:
    """A screen reader is not told each second that a percentile moved."""
    first = judge(busy(route("/a", 0.31, 0.2, "missed")))
    second = judge(busy(route("/a", 0.32, 0.2, "missed")))
    assert first.headline != second.headline
    assert first.said == second.said == "/a misses its target"
