"""When the engine wakes and what it sends then, on a clock that stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from loadgen.agenda import Agenda
from loadgen.engine import GRAIN, Engine
from loadgen.requests import OwnRequests
from loadgen.scenario import Scenario
from loadgen.tally import Tally
from loadgen.target import Target
from loadgen.workload import Traces

if TYPE_CHECKING:
    from collections.abc import Callable


class _Bench:
    """An engine whose timer only notes instants, and whose connections only note what is sent."""

    def __init__(self, rate: float) -> None:
        fields = {"name": "mine", "users": 64, "rate_per_minute": rate * 60, "seconds": 60.0}
        scenario = msgspec.convert({**fields, "request": {"root": {"path": "/"}}, "mix": {"root": 1}}, Scenario)
        workload, traces = OwnRequests(scenario, Target("service", 1), "run"), Traces(0.0)
        self.now = 100.0
        self.woken: list[float] = [0.0]
        self.sent: list[float] = []
        self.tally = Tally(workload.steps, scenario.steps, 10.0, traces)
        connections: Any = [self] * 64
        agenda = Agenda(scenario, ())
        self.engine = Engine(agenda, workload, connections, self.tally, traces, shared=True, timeout=10.0)
        self.engine._users.extend(workload.user(number) for number in range(64))
        self.engine._clock = lambda: self.now
        self.engine._timer = self  # type: ignore[assignment]
        self.engine._over = self  # type: ignore[assignment]
        self.tally.begin(self.now)
        agenda.begin(self.now)

    def done(self) -> bool:
        """Say that it goes on."""
        return False

    def send(self, payload: bytes, _: Callable[[Any], None]) -> None:
        """Note when a request was sent."""
        assert b"tracestate: gatewatch=w:" in payload
        self.sent.append(self.now)

    def set(self, instant: float) -> None:
        """Note when it wants to be woken."""
        self.woken.append(instant)

    def wake(self, times: int) -> None:
        """Wake it so many times, each at the instant that it asked for."""
        for _ in range(times):
            self.engine._wake()
            self.now = self.woken[-1]


def test_a_dense_schedule_leaves_in_slices() -> None:
    """At 17,000 requests/s it wakes once in a grain and sends all that fell due in it; how late each was is in the lag."""
    bench = _Bench(17_000)
    bench.wake(6)
    assert bench.woken[1:] == pytest.approx([100 + number * GRAIN for number in range(1, 7)], abs=1e-9)
    assert len(bench.sent) == 1 + int(5 * GRAIN * 17_000)
    moment = bench.tally.moment(bench.now)
    assert moment.lag.count == len(bench.sent)
    assert GRAIN / 2 < (moment.lag.quantile(1.0) or 0.0) < GRAIN


def test_a_sparse_schedule_leaves_at_its_instants() -> None:
    """At 1,000 requests/s each is sent at its own intended time."""
    bench = _Bench(1_000)
    bench.wake(6)
    assert bench.woken[1:] == pytest.approx([100 + number / 1000 for number in range(1, 7)], abs=1e-9)
    assert bench.sent == pytest.approx([100 + number / 1000 for number in range(6)], abs=1e-9)


def test_the_trace_of_what_waits_longest_is_asked_for_now_and_then() -> None:
    """A request that waited longer than the slowest took will be one of them; of those that come at once one is enough."""
    bench = _Bench(1_000)
    of = bench.tally.of["root"]
    exchange: Any = type("Late", (), {"step": "root"})
    of.floor = 0.5
    assert not bench.tally.is_late(exchange, 0.4, 10.0)
    assert [bench.tally.is_late(exchange, 0.6, now) for now in (10.0, 10.05, 10.11)] == [True, False, True]
