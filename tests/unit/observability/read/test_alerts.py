"""Alerts: what rules find, and how findings move an alert from ok to pending, firing and resolved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import pytest

import app
from observability.model import RedisServer, Slo, load_slo
from observability.read.alerts import Finding, findings
from observability.read.board import (
    MOST_TRANSITIONS,
    SHOWN_SECONDS,
    UNJUDGED_SECONDS,
    Board,
    advance,
    decode_board,
    encode_board,
)
from observability.read.budget import Budgets, slower
from observability.read.figures import view_of
from observability.read.ledger import Ledger
from observability.record import Recorder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observability.read.view import View

SLO = load_slo(Path(app.__file__).with_name("slo.toml"))
NOW = 1_000_000.0
Judgement = Literal["above", "within", "too few", "unknown"]


class Site:
    """A worker whose clock a test moves; each second it answers some requests and is heard."""

    def __init__(self, slo: Slo = SLO) -> None:
        self.now = NOW
        self.slo = slo
        self.recorder = Recorder(instance="here", clock=lambda: self.now)
        self.ledger = Ledger()
        self.budgets = Budgets(slo)

    def run(self, seconds: int, *, ok: int = 0, slow: int = 0, failed: int = 0, evicted: int = 0) -> None:
        """Let seconds pass, with so many requests to GET /auth/me in each."""
        for _ in range(seconds):
            self.now += 1
            for count, status, took in ((ok, 200, 0.01), (slow, 200, 0.5), (failed, 500, 0.01)):
                for _ in range(count):
                    self.recorder.requests.record("GET", "/auth/me", status, "", took)
            before = self.recorder.redis or RedisServer("run")
            self.recorder.redis = RedisServer("run", evicted=before.evicted + evicted)
            self.ledger.ingest(self.recorder.snapshot())

    def view(self) -> View:
        """Return the figures."""
        return view_of(self.ledger, self.now, "fleet", "", self.slo, ())

    async def found(self, database_cpu: float | None = None) -> dict[tuple[str, str], Finding]:
        """Return what the rules find."""
        await self.budgets.look(self.ledger.history.coarse)
        view = msgspec.structs.replace(self.view(), database_cpu=database_cpu)
        return {(f.rule, f.subject): f for f in findings(self.slo, view, self.budgets)}


async def test_the_guide_s_four_rules_find_what_they_are_about() -> None:
    """Slow, failing and evicting above the guide's thresholds is found, with figure and threshold in words."""
    site = Site()
    site.run(60, ok=3, slow=1, failed=1, evicted=2)
    found = await site.found(database_cpu=0.91)
    latency = found["latency", "GET /auth/me"]
    assert (latency.judgement, latency.for_seconds) == ("above", 300)
    assert latency.reason == "p95 is 489 ms, more than 2 times the target of 100 ms"
    assert found["errors", ""].reason == "20 % of 300 requests fail, more than 1 %"
    assert found["database-cpu", ""].reason == "PostgreSQL uses 91 % of its machine's processors, more than 80 %"
    assert found["evictions", ""].reason == "Redis evicted 118 keys in a minute, more than 100"
    assert {found[key].judgement for key in (("errors", ""), ("database-cpu", ""), ("evictions", ""))} == {"above"}


async def test_a_well_site_is_within() -> None:
    """Fast answers, no errors and no evictions are within every threshold."""
    site = Site()
    site.run(120, ok=3)
    found = await site.found(database_cpu=0.1)
    mine = [f for (rule, subject), f in found.items() if "GET /auth/me" in subject or not subject]
    assert len(mine) == 8
    assert {f.judgement for f in mine} == {"within"}


async def test_too_few_and_unknown_are_no_verdict() -> None:
    """A route that was hardly asked is too few, and a database that nobody sees is unknown: neither is zero nor well."""
    site = Site()
    site.run(58, slow=1)
    found = await site.found()
    assert found["latency", "GET /auth/me"].judgement == "too few"
    assert found["latency", "GET /auth/me"].reason == "58 requests in the last minute; from 59 on they are judged"
    assert found["fast-burn", "GET /auth/me latency"].judgement == "too few"
    assert (found["database-cpu", ""].judgement, found["database-cpu", ""].figure) == ("unknown", None)
    assert found["errors", ""].judgement == "too few"


async def test_a_budget_burns_only_if_both_windows_do() -> None:
    """A bad stretch that is over, and one that has just begun, are no burn; one that lasts is."""
    site = Site()
    site.run(600, ok=2)
    site.run(100, failed=2)
    key = ("fast-burn", "GET /auth/me availability")
    burning = (await site.found())[key]
    assert burning.judgement == "above"
    assert "14.3 % of requests were failing" in burning.reason
    site.run(310, ok=2)
    assert (await site.found())[key].judgement == "within"
    fresh = Site()
    fresh.run(3600, ok=6)
    fresh.run(20, failed=6)
    assert (await fresh.found())[key].judgement == "within"


def test_slow_is_counted_as_percentiles_are() -> None:
    """What lies beyond a target is counted to within a bucket."""
    site = Site()
    site.run(10, ok=3, slow=1)
    durations = site.recorder.requests.freeze()[0].duration
    assert [slower(durations, seconds) for seconds in (0.001, 0.1, 0.48, 0.5, 70)] == [40, 10, 10, 0, 0]


def _steps(*steps: tuple[float, Judgement], for_seconds: float = 300) -> list[tuple[str, float]]:
    """Return state and since after each evaluation at a time with a judgement."""
    board: Board | None = None
    seen: list[tuple[str, float]] = []
    for at, judgement in steps:
        finding = Finding("r", "s", judgement, 3.0, 2.0, judgement, for_seconds)
        board, _ = advance(board, [finding], at)
        seen.append((board.alerts[0].state, board.alerts[0].since))
    return seen


def _each(begin: int, end: int, judgement: Judgement) -> list[tuple[float, Judgement]]:
    return [(float(at), judgement) for at in range(begin, end, 5)]


def test_pending_fires_after_its_time() -> None:
    """Above for five minutes without a break fires, and not five seconds before."""
    seen = _steps(*_each(0, 305, "above"))
    assert [seen[0], *seen[-2:]] == [("pending", 0), ("pending", 0), ("firing", 300)]


@pytest.mark.parametrize("broken", ["within", "too few", "unknown"])
def test_a_break_begins_anew(broken: Judgement) -> None:
    """One evaluation that is not above ends the pending."""
    seen = _steps(*_each(0, 200, "above"), (200, broken), *_each(205, 500, "above"))
    assert seen[-1] == ("pending", 205)


def test_time_that_nobody_watched_does_not_count() -> None:
    """After half a minute without evaluations the time above begins anew."""
    assert _steps((0, "above"), (5, "above"), (400, "above"))[-1] == ("pending", 400)


def test_firing_resolves_and_is_shown_for_an_hour() -> None:
    """Within resolves a firing alert; an hour later it is ok again."""
    over = 5.0 + SHOWN_SECONDS
    seen = _steps((0, "above"), (5, "within"), (over - 1, "within"), (over, "within"), for_seconds=0)
    assert seen == [("firing", 0), ("resolved", 5), ("resolved", 5), ("ok", over)]


def test_firing_outlasts_a_silence_for_five_minutes() -> None:
    """Without requests to judge by a firing alert stays so for five minutes, then it is resolved."""
    seen = _steps((0, "above"), (UNJUDGED_SECONDS - 1, "too few"), (UNJUDGED_SECONDS, "too few"), for_seconds=0)
    assert [state for state, _ in seen] == ["firing", "firing", "resolved"]


@pytest.mark.parametrize("judgement", ["too few", "unknown"])
def test_what_cannot_be_judged_has_a_state_of_its_own(judgement: Judgement) -> None:
    """Too few requests and an unknown figure are states, since the first evaluation that found so."""
    assert _steps((0, judgement), (5, judgement)) == [(judgement, 0), (judgement, 0)]


def test_transitions_are_told_once_and_bounded() -> None:
    """What became pending, fired or was resolved is told once, newest first, and no more of it is kept than the bound."""
    board: Board | None = None
    told: Sequence[object] = ()
    for at in range(400):
        finding = Finding("r", "s", "above" if at % 2 else "within", 1.0, 0.5, "why", 0)
        board, told = advance(board, [finding, Finding("q", "", "too few", None, 1, "few")], float(at))
        assert len(told) == (at > 0)
    assert board is not None
    assert len(board.transitions) == MOST_TRANSITIONS
    assert (board.transitions[0].was, board.transitions[0].state, board.transitions[0].at) == (
        "resolved",
        "firing",
        399,
    )
    assert decode_board(encode_board(board)) == board
    assert len(encode_board(board)) < 20_000
    assert decode_board(b"torn") is None
    assert decode_board(None) is None
