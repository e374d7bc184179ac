"""What is measured against what queueing theory says must come out."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from crowding import Crowd

from loadgen.pacer import plan_arrivals

if TYPE_CHECKING:
    from loadgen.results import Result

NOISE = 0.2
"""Seconds that anything may take longer; that it was faster than it can have been is never forgiven."""


class _Queue:
    """One server that takes requests in turn, each for the same time."""

    def __init__(self, service_time: float) -> None:
        self._service_time = service_time
        self._free = 0.0

    def __call__(self, now: float) -> float:
        self._free = max(self._free, now) + self._service_time
        return self._free


def _quantile(values: list[float], q: float) -> float:
    return sorted(values)[round(q * len(values)) - 1]


def _near(result: Result, truth: list[float], qs: tuple[float, ...], crowd: Crowd) -> None:
    """Hold quantiles against the truth; what the machine took from the service or the generator may have been added."""
    response = result.endpoints[0].response
    assert response.count == len(truth)
    noise = NOISE + crowd.held + (result.lag.quantile(1.0) or 0.0)
    for q in qs:
        expected, measured = _quantile(truth, q), response.quantile(q) or 0.0
        assert 0.96 * expected - 0.002 <= measured <= 1.05 * expected + noise, (q, expected, measured)


async def test_a_stall_is_in_the_response_times_of_all_whom_it_kept_waiting(serve: Any, order: Any) -> None:
    """Of 600 requests at 200 a second, a stall of one second delays 200, by one second down to nothing, evenly."""
    async with serve() as service, Crowd().watched() as crowd:
        stall: list[float] = []

        def stalling(now: float) -> float:
            if len(service.seen) >= 100 and not stall:
                stall.append(now + 1.0)
            return max(now, stall[0]) if stall else now

        service.instant = stalling
        runner = order(service.target, seconds=3.0, connections=4)
        result = await runner.run()
    ended = stall[0] - runner._begun
    truth = [max(0.0, ended - number / 200) if number >= 100 else 0.0 for number in range(600)]
    _near(result, truth, (0.7, 0.8, 0.9, 0.95, 0.99), crowd)
    service_times = result.endpoints[0].service
    slow = sum(n for i, n in enumerate(service_times.counts, service_times.offset) if 2 ** (i / 16) > 0.5)
    assert slow <= 4 + 200 * (crowd.held + (result.lag.quantile(1.0) or 0.0))
    assert (result.status.planned, result.status.completed, result.status.errors) == (600, 600, 0)


async def test_random_arrivals_wait_as_long_as_lindley_says(serve: Any, order: Any) -> None:
    """Poisson arrivals at a server that takes 8 ms for each: every quantile follows from the same arrivals by recursion."""
    service_time = 0.008
    async with serve() as service, Crowd().watched() as crowd:
        service.instant = _Queue(service_time)
        runner = order(service.target, seconds=3.0, rate_per_minute=5_400, arrivals="poisson", users=200, seed=5)
        result = await runner.run()
    truth, free = [], 0.0
    for offset, _ in plan_arrivals(runner._order.scenario):
        free = max(free, offset) + service_time
        truth.append(free - offset)
    assert len(truth) > 200
    assert _quantile(truth, 0.95) > 2 * service_time
    _near(result, truth, (0.1, 0.5, 0.9, 0.95, 0.99), crowd)


async def test_what_waits_for_a_connection_is_told_apart(serve: Any, order: Any) -> None:
    """One connection to a server that takes 20 ms serves 50 a second; the other 50 a second wait, and it is no lag."""
    async with serve() as service:
        service.instant = _Queue(0.02)
        result = await order(service.target, rate_per_minute=6_000, connections=1).run()
    assert service.most_under_way == 1
    assert result.wait.count >= 90
    assert result.lag.count == result.status.completed == 100
    assert (result.wait.quantile(0.9) or 0.0) > 0.5
    service_p50 = result.endpoints[0].service.quantile(0.5) or 0.0
    response_p50 = result.endpoints[0].response.quantile(0.5) or 0.0
    assert response_p50 > 10 * service_p50 or service_p50 > 0.05


async def test_closed_users_wait_for_their_answers_and_think(serve: Any, order: Any) -> None:
    """Four users who think 50 ms after an answer never have more than four requests under way, and ask less than 20 times."""
    async with serve() as service:
        think = {"mean_s": 0.05, "spread": "none"}
        runner = order(service.target, shape="closed", users=4, rate_per_minute=0, think=think)
        result = await runner.run()
    assert service.most_under_way <= 4
    assert result.status.completed == result.status.planned == sum(service.answered.values())
    assert 4 <= result.status.completed <= 4 * 20


async def test_journeys_arrive_and_their_steps_follow(serve: Any, order: Any) -> None:
    """Steps come in their order, after the answer before and the thinking; journeys go on side by side."""
    steps = {name: {"path": f"/{name}", "headers": {"X-User": "{user}"}} for name in ("one", "two", "three")}
    async with serve() as service:
        runner = order(
            service.target,
            shape="journeys",
            users=50,
            rate_per_minute=3_600,
            request=steps,
            mix={},
            journey=[{"steps": list(steps)}],
            think={"mean_s": 0.05},
        )
        result = await runner.run()
    counts = {endpoint.name: endpoint.response.count for endpoint in result.endpoints}
    assert counts["one"] == 20
    assert counts["one"] >= counts["two"] >= counts["three"] > 0
    assert result.status.cut == counts["one"] - counts["three"]
    of_users: dict[str, list[str]] = {}
    for _, path, headers, _ in service.seen:
        of_users.setdefault(headers["x-user"], []).append(path)
    for paths in of_users.values():
        assert "".join(paths) in "/one/two/three" * 20


async def test_a_rising_load_rises_evenly(serve: Any, order: Any) -> None:
    """From nothing to 400 a second in a second, then held for half of one: a quarter of the rise comes in its first half."""
    async with serve() as service:
        stages = [{"seconds": 1, "rate_per_minute": 24_000}, {"seconds": 0.5}]
        runner = order(service.target, seconds=None, rate_per_minute=0, stage=stages, users=50)
        result = await runner.run()
    assert result.status.completed == 400
    assert [moment.planned for moment in result.moments][:2] == [200, 200]
    assert sum(offset < 0.5 for offset, _ in plan_arrivals(runner._order.scenario)) == pytest.approx(50, abs=1)


async def test_a_generator_that_was_held_up_is_invalid(serve: Any, order: Any) -> None:
    """Its process stands still for half a second: what it sends late is its own fault, and the run says so."""
    async with serve() as service:
        runner = order(service.target, seconds=2.0)
        running = asyncio.create_task(runner.run())
        await asyncio.wait_for(service.arrived.wait(), 120)
        pid = runner._parts._held[0].process.pid
        os.kill(pid, signal.SIGSTOP)
        began = time.perf_counter()
        try:
            await asyncio.sleep(0.5)
        finally:
            os.kill(pid, signal.SIGCONT)
        result = await running
    assert time.perf_counter() - began > 0.5
    assert result.status.validity == "INVALID"
    assert result.status.verdict is None
    assert "the generator itself was late" in result.invalid[0]
    assert (result.status.lag_p99 or 0.0) > 0.3
    assert result.status.completed == 400
