"""What a cache is worth, in words and with the sums."""

from __future__ import annotations

from console.worth import worth
from observability.read.detail import OperationView
from observability.read.view import CacheView, Latency

SESSION = CacheView("session", 900, 80, 20, 0, 0, 0.9)
MGET = OperationView("redis", "MGET", 16.7, 0, 1000, Latency(1000, 0.0002, 0.0004, 0.001), 0.2, None, "no target")
LOAD = OperationView("postgresql", "session_by_token", 1.3, 0, 80, Latency(80, 0.002, 0.004, 0.01), 0.16, 0.005, "met")


def test_the_sums_stand_in_the_words() -> None:
    """The time of a lookup, of a load, the rate at which one follows the other, and what that makes, are said."""
    (told,) = worth([SESSION], [MGET, LOAD])
    assert told.headline == (
        "1.60 ms a lookup faster than PostgreSQL alone; PostgreSQL was spared 900 loads, 1.80 s of its time."
    )
    assert "900 of 1,000 lookups hit." in told.sums
    assert "200 µs (MGET, mean of 1,000)" in told.sums
    assert "2.00 ms more (session_by_token, mean of 80)" in told.sums
    assert "= 400 µs; without a cache each would take 2.00 ms." in told.sums


def test_a_cache_that_costs_more_than_it_spares_is_called_slower() -> None:
    """Beside a PostgreSQL that is as fast as Redis a cache is slower for each lookup, and the words do not hide it."""
    quick = OperationView("postgresql", "session_by_token", 1.3, 0, 80, Latency(80), 0.008, None, "no target")
    (told,) = worth([SESSION], [MGET, quick])
    assert told.headline.startswith("110 µs a lookup slower than PostgreSQL alone")


def test_only_what_reads_that_family_is_a_load() -> None:
    """A query that writes, or has another name, is no load of the family."""
    writes = OperationView("postgresql", "session_open", 1.3, 0, 80, Latency(800), 80.0, None, "no target")
    lists = OperationView("postgresql", "user_sessions", 1.3, 0, 80, Latency(800), 80.0, None, "no target")
    (told,) = worth([SESSION], [MGET, LOAD, writes, lists], {"session_by_token", "user_sessions"})
    assert "(session_by_token, mean of 80)" in told.sums


def test_too_few_are_said_to_be_too_few() -> None:
    """From a handful of calls no mean is told; a family that nobody asked is not told of."""
    few = OperationView("postgresql", "session_by_token", 0.1, 0, 3, Latency(3), 0.1, None, "no target")
    quiet = CacheView("profile", 0, 0, 0, 0, 0, None)
    (told,) = worth([SESSION, quiet], [MGET, few])
    assert "Too few loads from PostgreSQL" in told.headline
    assert worth([SESSION], [LOAD])[0].headline.endswith(
        "Too few commands to Redis were timed to say what that is worth."
    )
