"""How the load generator's benchmarks reckon: queueing theory, what rivals print, and what counts as met."""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
import pytest

from benchmarks.driver import Cost
from benchmarks.load_agreement import counted_by_nginx
from benchmarks.load_cost import between, rows
from benchmarks.load_memory import row as memory_row
from benchmarks.load_overload import row as overload_row
from benchmarks.load_rivals import Asked
from benchmarks.load_run import asking_hello
from benchmarks.load_steady import row as steady_row
from benchmarks.load_theory import (
    Spread,
    interval,
    percentile,
    quantile_of_dm1,
    quantile_of_md1,
    quantile_of_mm1,
    quantile_of_stall,
    responses,
)
from benchmarks.load_told import QUANTILES, told_by_hey, told_by_k6, told_by_wrk
from benchmarks.load_truth import row_of_stall
from loadgen.plan import load_scenario
from loadgen.results import EndpointResult, Moment, Result, RunStatus
from loadgen.scenario import Scenario
from observability.model import Distribution, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("gaps", "service", "quantile"),
    [
        ("exponential", "exponential", quantile_of_mm1),
        ("exponential", "fixed", quantile_of_md1),
        ("fixed", "exponential", quantile_of_dm1),
    ],
)
def test_closed_forms_are_what_long_runs_come_to(
    gaps: Spread, service: Spread, quantile: Callable[[float, float, float], float]
) -> None:
    """A queue of 200,000 requests has the percentiles that theory says, to within 3 %."""
    run = list(islice(responses(60.0, 0.01, gaps, service, random.Random(3)), 200_000))  # noqa: S311 - to be repeated, no secret
    for q in QUANTILES:
        assert percentile(run, q) == pytest.approx(quantile(60.0, 0.01, q), rel=0.03)


def test_an_interval_holds_the_truth() -> None:
    """What 99 % of runs show lies around the percentile, further off than the nearest neighbours."""
    low, high = interval(50.0, 0.01, "exponential", "exponential", 500, 0.5, runs=200)
    assert low < quantile_of_mm1(50.0, 0.01, 0.5) < high


def test_a_stall_delays_those_who_were_due_in_it() -> None:
    """A second in ten delays a tenth of the requests, evenly up to a second; nobody else waits."""
    assert [quantile_of_stall(10.0, 1.0, q) for q in QUANTILES] == pytest.approx([0.0, 0.5, 0.9])
    true = {0.5: 0.0003, 0.95: 0.505, 0.99: 0.895}
    quick = dict.fromkeys(QUANTILES, 0.001)
    assert row_of_stall(1.0, true, true, true, quick).met
    assert not row_of_stall(1.0, quick, true, true, quick).met


def test_what_rivals_print_is_read() -> None:
    """k6 tells milliseconds, our script for wrk microseconds, hey seconds."""
    k6 = '{"metrics": {"http_req_duration": {"p(50)": 5, "p(95)": 50, "p(99)": 500, "max": 600}}}'
    wrk = "Running 10s test\nRequests/sec: 100\ntold 5000 50000 500000\n"
    hey = "  50%% in 0.0050 secs\n  95%% in 0.0500 secs\n  99%% in 0.5000 secs\n"
    assert told_by_k6(k6) == told_by_wrk(wrk) == told_by_hey(hey) == {0.5: 0.005, 0.95: 0.05, 0.99: 0.5}


def test_costs_are_of_what_lies_between_two_looks() -> None:
    """CPU and requests at the start do not count, and the absolute bound has a row of its own."""
    cost = between((100, 1.0, 10.0), (50_100, 2.0, 12.0))
    assert cost == Cost(requests=50_000, rate=25_000.0, cpu=2e-05, driver=0.5)
    with pytest.raises(RuntimeError):
        between((100, 1.0, 10.0), (100, 2.0, 12.0))
    dear = Cost(requests=1, rate=1.0, cpu=90e-6)
    alone, beside = rows("fast", {"": [cost], "k6": [dear]}, 25e-6)
    assert (alone.met, beside.met) == (True, False)
    assert beside.ratio == pytest.approx(0.222, abs=0.001)


def test_scenarios_for_benchmarks_are_scenarios(tmp_path: Path) -> None:
    """With a rate it is open, without one closed, and the flags of rivals have the same figures."""
    path = tmp_path / "scenario.toml"
    path.write_text(asking_hello(seconds=8, users=32, rate=10_000))
    assert (load_scenario(str(path)).shape, load_scenario(str(path)).rate_per_minute) == ("open", 600_000)
    path.write_text(asking_hello(seconds=8, users=32))
    assert load_scenario(str(path)).shape == "closed"
    assert Asked("http://x/hello", 32, 8.0).rate == 0.0


def _result(*, lag: float, sent: int, invalid: tuple[str, ...] = ()) -> Result:
    late = Histogram()
    late.record(lag)
    status = RunStatus(
        run="r",
        scenario="hello",
        state="done",
        started=0.0,
        updated=0.0,
        pid=1,
        target="http://x",
        seconds=1.0,
        users=1,
        completed=sent,
        validity="INVALID" if invalid else "VALID",
    )
    return Result(
        version=2,
        status=status,
        scenario=msgspec.toml.decode(asking_hello(seconds=1, users=1, rate=1), type=Scenario),
        fewest_samples=1,
        lag_allowed=0.001,
        lag=late.freeze(),
        cpu=0.1,
        endpoints=(),
        moments=(Moment(0, sent, sent, sent, Distribution(), Distribution()),),
        invalid=invalid,
    )


def test_a_steady_run_is_met_by_rate_lag_and_memory_together() -> None:
    """Each of the three alone spoils it."""
    assert steady_row(_result(lag=0.0002, sent=10_000), 0.1).met
    assert not steady_row(_result(lag=0.002, sent=10_000), 0.1).met
    assert not steady_row(_result(lag=0.0002, sent=9_980), 0.1).met
    assert not steady_row(_result(lag=0.0002, sent=10_000), 2.0).met


def test_a_starved_run_must_say_so_and_a_sound_one_must_not() -> None:
    """Both ways of being wrong are told."""
    sound, starved = _result(lag=0.0001, sent=1), _result(lag=0.1, sent=1, invalid=("late",))
    assert overload_row("alone", sound, invalid=False).met
    assert overload_row("starved", starved, invalid=True).met
    assert not overload_row("alone", starved, invalid=False).met
    assert not overload_row("starved", sound, invalid=True).met


def test_counts_agree_to_the_request() -> None:
    """One request more or fewer, or another status, and they do not."""
    endpoint = EndpointResult(
        name="hello",
        statuses={"200": 2, "404": 1},
        failures={},
        response=Distribution(),
        service=Distribution(),
        connect=Distribution(),
    )
    result = msgspec.structs.replace(_result(lag=0.0001, sent=3), endpoints=(endpoint,))
    assert counted_by_nginx(result, ["200 0.000", "404 0.000", "200 0.001"]).met
    assert not counted_by_nginx(result, ["200 0.000", "404 0.000"]).met
    assert not counted_by_nginx(result, ["200 0.000", "200 0.000", "200 0.001"]).met


def test_a_growing_sender_is_not_met() -> None:
    """A slope within noise is; one above it, a count unlike the server's, or too few requests to tell, is not."""
    flat = [(x / 10, 30.0 + x % 2 * 0.01) for x in range(20)]
    growing = [(x / 10, 30.0 + x / 10) for x in range(20)]
    result = _result(lag=0.0001, sent=5)
    assert memory_row(flat, 0.0, result, 5, asked=5).met
    assert not memory_row(growing, 0.0, result, 5, asked=5).met
    assert not memory_row(flat, 0.0, result, 6, asked=5).met
    assert not memory_row(flat, 0.0, result, 5, asked=6).met
