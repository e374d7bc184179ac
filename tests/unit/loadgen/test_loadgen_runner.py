"""Whole runs against a small service over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from loadgen.errors import FolderError, PrepareError
from loadgen.history import read_runs
from loadgen.results import Result, RunFolder, RunStatus
from loadgen.runner import Order, Runner
from loadgen.scenario import Scenario
from loadgen.target import Target
from observability.model import Distribution, RouteTarget, Slo
from observability.model.histogram import bucket_bounds

if TYPE_CHECKING:
    from pathlib import Path

Serving = Callable[[Any], AbstractAsyncContextManager[Target]]

SLO = Slo(route=(RouteTarget(name="check", method="GET", route="/auth/check", p95_ms=2000),), fewest_samples=59)
MIX = {"register": 5, "login": 9, "me": 35, "check": 41, "profile": 5, "logout": 5}


class Seen:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.statuses: list[RunStatus] = []

    def show(self, status: RunStatus) -> None:
        """Keep the status."""
        self.statuses.append(status)


def _runner(target: Target, folder: Path, progress: Seen | None = None, **changes: Any) -> Runner:
    fields: dict[str, Any] = {"name": "mine", "users": 8, "rate_per_minute": 24_000, "seconds": 0.75, "mix": MIX}
    scenario = Scenario(**(fields | changes))
    order = Order(scenario=scenario, target=target, slo=SLO, run="run-1")
    return Runner(order, RunFolder(folder, "run-1"), progress or Seen())


def _responses(result: Result, name: str) -> Distribution:
    return next(endpoint.response for endpoint in result.endpoints if endpoint.name == name)


def _services(result: Result, name: str) -> Distribution:
    return next(endpoint.service for endpoint in result.endpoints if endpoint.name == name)


async def test_a_run_sends_its_plan_exactly_and_judges_it(service: Any, serving: Serving, tmp_path: Path) -> None:
    """The service counts what the report counts, step by step, and every measured logout found its session."""
    async with serving(service) as target:
        result = await _runner(target, tmp_path).run()
    status = result.status
    assert (status.planned, status.sent, status.completed, status.errors) == (300, 300, 300, 0)
    assert {endpoint.name: endpoint.count for endpoint in status.endpoints} == {step: 3 * n for step, n in MIX.items()}
    spares, users = 11, 8  # Two blocks of five logouts, and one beside unfinished logins.
    assert service.answered == {
        ("/auth/register", 201): 15 + users,
        ("/auth/login", 200): 27 + users + spares,
        ("/auth/me", 200): 105,
        ("/auth/check", 204): 123,
        ("/users/profile", 200): 15,
        ("/auth/logout", 204): 15,
    }
    assert (status.state, status.verdict) == ("done", "PASS")
    assert 0.7 < status.elapsed < 5
    verdicts = {endpoint.name: endpoint.verdict for endpoint in status.endpoints}
    assert verdicts["check"] == "PASS"
    assert verdicts["me"] is None


async def test_no_session_is_a_hot_key(service: Any, serving: Serving, tmp_path: Path) -> None:
    """Requests rotate over all users: nobody's session carries much more than its part of the checks."""
    async with serving(service) as target:
        await _runner(target, tmp_path).run()
    assert len(service.tokens_checked) >= 8
    assert max(service.tokens_checked.values()) <= 2 * 123 / 8


async def test_users_have_addresses_that_nobody_mails(service: Any, serving: Serving, tmp_path: Path) -> None:
    """Every address names its run and ends in load.invalid, those of measured registrations too."""
    async with serving(service) as target:
        await _runner(target, tmp_path).run()
    assert len(service.users) == 8 + 15
    assert all(address.endswith(".run-1@load.invalid") for address in service.users)


async def test_connections_are_kept(service: Any, serving: Serving, tmp_path: Path) -> None:
    """A whole run needs one connection a user."""
    async with serving(service) as target:
        await _runner(target, tmp_path).run()
    assert service.connections == 8


async def test_a_stall_is_seen_by_all_who_should_have_been_served(
    service: Any, serving: Serving, tmp_path: Path
) -> None:
    """Half a second of stall under 400 requests a second delays two hundred requests, not the few that were under way.

    Timed from sending, at most the eight in flight were slow: that is the coordinated omission which hides stalls.
    """
    service.stall_at, service.stall = 50, 0.5
    async with serving(service) as target:
        result = await _runner(target, tmp_path, mix={"check": 1}).run()
    slow_by = 0.2
    responses, services = _responses(result, "check"), _services(result, "check")
    assert responses.count == services.count == 300
    assert _above(responses, slow_by) >= 60
    assert _above(services, slow_by) <= 8
    assert (responses.quantile(0.9) or 0.0) > slow_by
    assert result.status.errors == 0


async def test_what_cannot_be_sent_in_time_fails_inside_the_percentiles(
    service: Any, serving: Serving, tmp_path: Path
) -> None:
    """Behind a service that stands still everything fails: under way as timeout, waiting as unsent, nothing unaccounted for."""
    service.stall_at, service.stall = 1, 30.0
    async with serving(service) as target:
        result = await _runner(target, tmp_path, mix={"check": 1}, seconds=0.5, timeout_s=0.3).run()
    failures = result.endpoints[0].failures
    assert result.status.completed == result.status.errors == 200
    assert failures["timeout"] >= 8
    assert failures["unsent"] >= 1
    assert sum(failures.values()) == 200
    assert (_responses(result, "check").quantile(0.01) or 0.0) > 0.29
    assert result.status.verdict == "FAIL"


async def test_quick_failures_never_make_a_percentile_look_good(service: Any, serving: Serving, tmp_path: Path) -> None:
    """Sessions that all vanished are answered 401 at once, and enter the percentiles as the timeout."""
    async with serving(service) as target:
        service.forget_sessions_after = 8  # The logins of preparing; a mix without logouts wants no spare sessions.
        result = await _runner(target, tmp_path, mix={"check": 1}, seconds=0.3).run()
    assert result.endpoints[0].failures == {"unexpected status": 120}
    assert (result.status.endpoints[0].p50 or 0.0) > 9
    assert result.status.verdict == "FAIL"
    assert "100 % of the requests failed" in result.status.message


async def test_preparing_waits_when_the_service_asks_to(service: Any, serving: Serving, tmp_path: Path) -> None:
    """A 503 with Retry-After while preparing is tried again, and is no error of the run."""
    service.refuse_first = 5
    async with serving(service) as target:
        result = await _runner(target, tmp_path, seconds=0.3).run()
    assert result.status.errors == 0
    assert result.status.prepared == 8


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered 404 instead of 201: is this Gatewatch"),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", "answered 201 instead of 200"),
        (b"220 mail.example ESMTP\r\n", "does not answer in HTTP"),
    ],
)
async def test_what_is_not_gatewatch_is_told_before_the_clock_starts(
    serving: Serving, tmp_path: Path, content: bytes, says: str
) -> None:
    """The error says what was asked and what came, and the run's status says the same."""

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"}")
            writer.write(content)

    async with serving(other) as target:
        with pytest.raises(PrepareError, match=says):
            await _runner(target, tmp_path).run()
    (status,) = read_runs(tmp_path)
    assert status.state == "failed"
    assert says in status.message


async def test_an_interrupted_run_still_reports(service: Any, serving: Serving, tmp_path: Path) -> None:
    """What was under way is drained, the figures stand, and there is no verdict on the whole."""
    async with serving(service) as target:
        runner = _runner(target, tmp_path, seconds=60)
        running = asyncio.create_task(runner.run())
        await asyncio.wait_for(service.busy.wait(), 30)
        runner.interrupt()
        result = await asyncio.wait_for(running, 30)
    status = result.status
    assert (status.state, status.verdict) == ("interrupted", None)
    assert 0 < status.completed == status.sent < status.planned
    assert status.errors == 0


async def test_an_interrupt_while_preparing_ends_the_run(service: Any, serving: Serving, tmp_path: Path) -> None:
    """Nothing is measured, and the result says interrupted."""
    async with serving(service) as target:
        runner = _runner(target, tmp_path)
        runner.interrupt()
        result = await asyncio.wait_for(runner.run(), 10)
    assert (result.status.state, result.status.completed) == ("interrupted", 0)


async def test_a_second_interrupt_gives_up_what_is_under_way(service: Any, serving: Serving, tmp_path: Path) -> None:
    """Behind a service that stands still the second interrupt ends the run at once; what was given up counts as failed."""
    service.stall_at, service.stall = 1, 30.0
    async with serving(service) as target:
        runner = _runner(target, tmp_path, mix={"check": 1}, seconds=60)
        running = asyncio.create_task(runner.run())
        await asyncio.wait_for(service.stalled.wait(), 30)
        await asyncio.sleep(0.3)
        runner.interrupt()
        runner.interrupt()
        result = await asyncio.wait_for(running, 20)
    failures = result.endpoints[0].failures
    assert result.status.state == "interrupted"
    assert set(failures) == {"abandoned"}
    assert result.status.completed == failures["abandoned"] > 8


async def test_the_status_is_told_while_preparing_and_each_second(
    service: Any, serving: Serving, tmp_path: Path
) -> None:
    """States come in their order, and the file holds the same status as was shown."""
    seen = Seen()
    async with serving(service) as target:
        await _runner(target, tmp_path, seen, seconds=1.5).run()
    states = [status.state for status in seen.statuses]
    assert states[0] == "preparing"
    assert "running" in states
    on_disk = msgspec.json.decode((tmp_path / "runs" / "run-1" / "status.json").read_bytes(), type=RunStatus)
    assert on_disk == seen.statuses[-1]


async def test_a_folder_that_exists_is_not_written_over(service: Any, serving: Serving, tmp_path: Path) -> None:
    """A run's name is taken once."""
    (tmp_path / "runs" / "run-1").mkdir(parents=True)
    async with serving(service) as target:
        with pytest.raises(FolderError, match="exists already"):
            await _runner(target, tmp_path).run()
    assert not service.users


def _above(distribution: Distribution, seconds: float) -> int:
    return sum(
        count
        for index, count in enumerate(distribution.counts, distribution.offset)
        if bucket_bounds(index)[0] >= seconds
    )
