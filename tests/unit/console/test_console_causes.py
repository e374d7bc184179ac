"""What is said about why the service is not well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from console.causes import MOST, causes
from console.tuning import LiveSetting
from observability.read.detail import BlockedView, OperationView
from observability.read.view import Alert, CacheView, HashView, Latency, PoolView, RedisView, View

if TYPE_CHECKING:
    from console.tuning import Kind
    from observability.read.view import Judgement

NOW = 1_795_378_651.0

WELL = View(
    at=NOW,
    scope="fleet",
    reason="",
    age=0.4,
    window=60,
    rate=14.0,
    errors=0,
    error_rate=0.0,
    latency=Latency(840, 0.002, 0.06, 0.15),
    routes=(),
    caches=(CacheView("session", 900, 40, 0, 0, 0, 0.957),),
    hit_rate=0.957,
    redis=RedisView(2.0, 14.0, 48 << 20, 0, "volatile-lru"),
    pool=PoolView(20, 14, 4, 0, 11, 0.21, 0.0004, 0),
    hashing=HashView(2, 0, 64, 0, 0.001, 0.03),
    workers=(),
    requests=840,
    fewest_samples=59,
)
STARVED = PoolView(1, 1, 1, 9, 1, 1.0, 1.18, 14)


def query(name: str, judgement: Judgement, p95: float, total: float = 1.0) -> OperationView:
    """Return a query with a target of 5 ms."""
    return OperationView("postgresql", name, 10.0, 0, 0, Latency(600, p95 / 4, p95, p95 * 2), total, 0.005, judgement)


def block(function: str, seconds: float, *delayed: tuple[str, int]) -> BlockedView:
    """Return a function that held up a loop."""
    return BlockedView(NOW - 5, seconds, function, (), delayed, "host:8000", "w1")


def setting(label: str, kind: Kind, value: str, starts_as: str) -> LiveSetting:
    """Return a setting that can be changed."""
    unit = "s" if kind == "seconds" else ""
    return LiveSetting("name", "Group", label, "", kind, value, starts_as, None, None, unit, "VARIABLE")


def said(view: View, *operations: OperationView, blocked: tuple[BlockedView, ...] = ()) -> list[str]:
    """Return the words of all causes."""
    return [cause.words for cause in causes(view, operations, blocked)]


def test_a_service_that_is_well_has_no_causes() -> None:
    """Nothing stands out, so nothing is said; nor is anything said before the first figures."""
    assert said(WELL, query("session_by_token", "met", 0.002), blocked=(block("app.report", 0.03),)) == []
    assert said(msgspec.structs.replace(WELL, age=None, pool=STARVED)) == []


def test_a_blocked_loop_is_named_by_its_function() -> None:
    """The function that blocked longest in all is named, with whom it delayed, and leads to their route."""
    blocks = (
        block("app.report:render", 0.8, ("GET /auth/check", 30), ("GET /auth/me", 4)),
        block("json.loads", 0.4),
        block("app.report:render", 1.2, ("GET /auth/check", 11)),
    )
    (cause,) = causes(WELL, (), blocks)
    assert cause.words == (
        "app.report:render blocked the event loop 2 times, for up to 1.20 s; 45 requests waited for it."
    )
    assert (cause.page, cause.arguments) == ("route", {"method": "GET", "route": "/auth/check"})
    assert said(WELL, blocked=(block("gc", 0.3, ("GET /auth/me", 1)),)) == [
        "gc blocked the event loop for 300 ms; 1 request waited for it."
    ]


def test_a_loop_that_stood_still_by_itself_is_no_functions_fault() -> None:
    """Where only the loop's own frames were seen, the processor was away: said when it was for long, and named as that."""
    waiting = ("GET /auth/me", 2)
    assert said(WELL, blocked=(block("Runner.run (asyncio/runners.py:118)", 0.3, waiting),)) == []
    assert said(WELL, blocked=(block("Runner.run (asyncio/runners.py:118)", 0.9, waiting),)) == [
        "The event loop stood still for 900 ms, outside of Python code: its processor is busy elsewhere; 2 requests waited for it."
    ]


def test_a_loop_that_nobody_waited_for_caused_nothing() -> None:
    """A worker that starts blocks its loop before it serves."""
    assert said(WELL, blocked=(block("read_all_code (start.py:3)", 2.0),)) == []


def test_a_slow_query_is_named_with_its_target() -> None:
    """Of queries that miss, the one that took most time in all is named with its figures, the others by name."""
    by_token, by_email = query("session_by_token", "missed", 0.25, 20), query("user_by_email", "missed", 0.4, 80)
    rare = query("rare", "too few", 3.0)
    assert said(WELL, by_token, rare) == ["The query session_by_token is slow: p95 250 ms of its 5 ms."]
    assert said(WELL, by_token, by_email, rare) == [
        "The query user_by_email is slow: p95 400 ms of its 5 ms; so is session_by_token."
    ]
    more = [query(f"more{n}", "missed", 0.1) for n in range(3)]
    assert said(WELL, by_email, *more) == [
        "The query user_by_email is slow: p95 400 ms of its 5 ms; so are more0, more1 and more2."
    ]
    assert said(WELL, by_email, by_token, *more) == [
        "The query user_by_email is slow: p95 400 ms of its 5 ms; so are session_by_token, more0 and 2 more."
    ]


def test_what_was_changed_stands_before_what_may_follow_from_it() -> None:
    """Settings that are not as they started are named where anything is wrong, and lead to where they are undone."""
    settings = (
        setting("Pool size", "integer", "1", "20"),
        setting("Sessions cached", "switch", "off", "on"),
        setting("Pool wait", "seconds", "0.5", "5"),
        setting("Coalescing", "switch", "on", "on"),
    )
    first, second = causes(msgspec.structs.replace(WELL, pool=STARVED), settings=settings)
    assert first.words == (
        "Changed while it serves: Pool size is 1 instead of 20, Sessions cached is off instead of on, "
        "Pool wait is 0.5 s instead of 5."
    )
    assert (first.rule, first.page, second.rule) == ("setting", "tune", "pool")
    assert causes(WELL, settings=settings) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"pool": STARVED},
            "Requests wait for a database connection: p95 1.18 s, and 14 gave up; the pool has 1 connection.",
        ),
        (
            {"hashing": HashView(2, 60, 64, 7, 1.4, 0.031)},
            "The password hash queue is overloaded: passwords wait 1.40 s at p95, and 7 were refused; 2 threads hash, 31.0 ms each.",
        ),
        (
            {"caches": (CacheView("session", 100, 900, 0, 0, 0, 0.1),)},
            "The session cache is cold: 10.0 % of 1,000 lookups hit.",
        ),
        (
            {"caches": (CacheView("session", 0, 0, 0, 0, 412, None),)},
            "Redis left 412 lookups of the last minute unanswered; PostgreSQL answers in its place.",
        ),
        (
            {"redis": RedisView(340.0, 0.0, 64 << 20, 64 << 20, "volatile-lru")},
            "Redis is too small for the cache: it evicts 340 keys a minute.",
        ),
        (
            {
                "alerts": (
                    Alert("slow", "login", "firing", NOW - 60, NOW, NOW, 0.4, 0.2, "p95 400 ms, threshold 200 ms"),
                )
            },
            "The alert slow (login) fires: p95 400 ms, threshold 200 ms.",
        ),
    ],
    ids=["pool", "hashing", "cold", "redis", "evictions", "alert"],
)
def test_each_cause_is_said_in_words(change: dict[str, object], words: str) -> None:
    """A sentence names what is wrong, by how much, and of how many."""
    assert said(msgspec.structs.replace(WELL, **change)) == [words]


def test_a_cold_cache_among_few_lookups_is_not_called_cold() -> None:
    """Below as many lookups as a percentile needs, a hit rate says nothing."""
    assert said(msgspec.structs.replace(WELL, caches=(CacheView("session", 2, 40, 0, 0, 0, 0.05),))) == []


def test_what_causes_others_stands_first_and_few_are_said() -> None:
    """A blocked loop stands before a cold cache, that before the queries it asks for and the pool they empty; no more than four are said."""
    view = msgspec.structs.replace(
        WELL,
        pool=STARVED,
        hashing=HashView(2, 60, 64, 7, 1.4, 0.031),
        caches=(CacheView("session", 10, 990, 0, 0, 0, 0.01),),
    )
    found = causes(view, (query("user_by_email", "missed", 0.4),), (block("sleep", 1.0, ("GET /auth/me", 1)),))
    assert [cause.rule for cause in found] == ["blocked", "cold", "query", "pool"]
    assert len(found) == MOST
