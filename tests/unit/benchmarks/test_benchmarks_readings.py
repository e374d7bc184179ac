"""How measurements are read: plans, slopes and percentiles."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.memory import mix, slope
from benchmarks.memory import row as memory_row
from benchmarks.scale import ways
from benchmarks.statements import cases
from benchmarks.tail import SETTLING_SECONDS, Result
from benchmarks.tail import row as tail_row
from observability.model import Distribution, Histogram


def test_a_plan_is_read_down_to_its_scans() -> None:
    """Indexes are named in the order of the plan, and a table read from end to end is told as such."""
    inner = [
        {"Node Type": "Index Scan", "Index Name": "users_pkey"},
        {"Node Type": "Sort", "Plans": [{"Node Type": "Seq Scan", "Relation Name": "profiles"}]},
    ]
    assert ways({"Node Type": "Nested Loop", "Plans": inner}) == ["Index Scan users_pkey", "Seq Scan on profiles"]


def test_every_statement_is_measured_once() -> None:
    """No two cases are of the same statement, and those that the guide has a target for have it."""
    names = [case.statement.name for case in cases()]
    assert len(set(names)) == len(names)
    targets = {case.statement.name: case.target for case in cases() if case.target}
    assert (targets["user_by_email"], targets["session_by_token"], targets["user_sessions"]) == (10, 5, 15)


def test_a_line_has_its_slope_without_doubt() -> None:
    """Points on a line give its slope and no margin; points beside it give one."""
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx((2.0, 0.0))
    assert slope([(0.0, 1.0), (1.0, 4.0), (2.0, 5.0), (3.0, 8.0)]).margin > 0


def test_growth_that_may_be_above_the_bound_does_not_meet_it() -> None:
    """The upper end of the interval counts: noise around a flat line is not enough."""
    flat = [(x / 10, 80.0) for x in range(10)]
    assert memory_row(flat).met
    assert not memory_row([(x / 10, 80.0 + x % 2 * 10) for x in range(10)]).met


def test_a_round_has_every_kind_of_request() -> None:
    """A login, a logout, a change, a list and a refusal, and reads by tokens in turn."""
    [only] = mix(["a", "b"], ["gone"], ["ann@example.org"])
    kinds = [bytes(asked.payload.split(b" HTTP/")[0]) for asked in only[:5]]
    assert kinds == [
        b"POST /auth/login",
        b"POST /auth/logout",
        b"PUT /users/profile",
        b"GET /auth/sessions",
        b"GET /auth/check",
    ]
    assert b"Bearer gone" in only[1].payload
    assert {asked.status for asked in only[5:]} == {204, 200}


def test_lost_requests_count_in_the_tail() -> None:
    """A percentile is of all requests from when they count, errors included; they are told beside it."""
    times = Histogram()
    for _ in range(995):
        times.record(0.002)
    for _ in range(5):
        times.record(5.0)
    cold = Histogram()
    cold.record(60.0)  # before it counts
    blocks = [
        {"at": at, "response": times.freeze(), "service": Distribution(), "outcomes": outcomes}
        for at, times, outcomes in (
            (0, cold, {"timeout": 1}),
            (SETTLING_SECONDS, times, {"ok": 995, "reset": 5}),
        )
    ]
    endpoint = {"blocks": blocks}
    told = tail_row(100.0, msgspec.convert({"endpoints": [endpoint], "lag": Distribution()}, Result))
    assert told.met is False
    assert told.figures["p999_milliseconds"] == pytest.approx(5000, rel=0.03)
    assert "5 reset;" in told.ours
    assert told.figures["requests"] == 1000
