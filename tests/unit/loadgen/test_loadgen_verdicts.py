"""The judgement, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from loadgen.client import Answer
from loadgen.journeys import STEPS
from loadgen.results import Block, EndpointResult, EndpointStatus, ProcessUse, RunStatus
from loadgen.scenario import Scenario
from loadgen.status import judged, sure
from loadgen.step_tally import Exchange, StepTally
from loadgen.verdicts import BUSIEST, Verdict, doubts, judge_run, judge_step, lag_allowed
from loadgen.workload import Traces
from observability.model import Distribution, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

SCENARIO = Scenario(name="mine", users=1, rate_per_minute=60, seconds=1, mix={"check": 1})


@pytest.mark.parametrize(
    ("count", "p95", "target", "verdict"),
    [
        (100, 0.05, 0.1, "PASS"),
        (100, 0.1, 0.1, "FAIL"),
        (59, 0.05, 0.1, "PASS"),
        (58, 0.05, 0.1, "TOO FEW"),
        (58, 5.0, 0.1, "TOO FEW"),
        (0, None, 0.1, "TOO FEW"),
        (100, 0.05, None, None),
    ],
)
def test_an_endpoint_is_judged(count: int, p95: float | None, target: float | None, verdict: Verdict | None) -> None:
    """Below its target is a pass, at it is a fail, and fewer than 59 samples are not guessed from."""
    assert judge_step(count=count, p95=p95, target=target, fewest=59) == verdict


@pytest.mark.parametrize(
    ("steps", "completed", "errors", "verdict"),
    [
        (["PASS", "PASS"], 100, 0, "PASS"),
        (["PASS", None], 100, 1, "PASS"),
        (["PASS", "PASS"], 100, 2, "FAIL"),
        (["PASS", "FAIL"], 100, 0, "FAIL"),
        (["PASS", "TOO FEW"], 100, 0, "TOO FEW"),
        (["FAIL", "TOO FEW"], 100, 0, "FAIL"),
        ([None], 100, 0, "PASS"),
        ([None], 0, 0, "TOO FEW"),
    ],
)
def test_a_run_is_judged(steps: list[Verdict | None], completed: int, errors: int, verdict: Verdict) -> None:
    """One failed endpoint or more than 1 % of errors fails it; one that cannot be judged leaves it unjudged."""
    assert judge_run(steps, completed=completed, errors=errors, allowed_error_rate=0.01) == verdict


@pytest.mark.parametrize(
    ("targets", "allowed"), [([], 0.001), ([0.1, 0.5], 0.005), ([0.2, 0.5], 0.01), ([0.01], 0.001)]
)
def test_the_tightest_target_says_how_late_the_generator_may_be(targets: list[float], allowed: float) -> None:
    """Five percent of it, and a millisecond at least."""
    assert lag_allowed(targets) == pytest.approx(allowed)


def test_a_generator_that_was_late_is_never_a_pass() -> None:
    """Its run is INVALID with the reason; a FAIL stays in sight, a PASS does not."""
    assert list(doubts(lag_p99=0.004, allowed=0.005)) == []
    assert list(doubts(lag_p99=None, allowed=0.005)) == []
    invalid = list(doubts(lag_p99=0.02, allowed=0.005))
    late = judged(_status(verdict="PASS", lag_p99=0.02), SCENARIO, invalid=invalid)
    assert (late.verdict, late.validity) == (None, "INVALID")
    assert late.message == "the generator itself was late: lag p99 20 ms, allowed 5 ms"
    assert judged(_status(verdict="FAIL", lag_p99=0.02), SCENARIO, invalid=invalid).verdict == "FAIL"


@pytest.mark.parametrize(
    ("cpu", "run_queue", "slices", "steal", "says"),
    [
        (BUSIEST - 0.1, 0.05, 1000, 0.0, None),
        (BUSIEST + 0.05, 0.0, 1000, 0.0, "ran for 95 % of the time and waited for a core for 0 %"),
        (0.3, 0.65, 1000, 0.0, "ran for 30 % of the time and waited for a core for 65 %"),
        (0.1, 0.2, 20, 0.0, "waited 10 ms for a core each time"),
        (0.1, None, None, None, None),
        (0.1, 0.0, 1000, 0.2, "other machines took 20 % of this one's time"),
    ],
)
def test_a_generator_that_was_starved_is_told(
    cpu: float, run_queue: float | None, slices: int | None, steal: float | None, says: str | None
) -> None:
    """Wanting a core nearly all the time, waiting long for one, and time taken by other machines each make a run doubtful."""
    use = ProcessUse(number=0, pid=1, seconds=1.0, cpu=cpu, run_queue=run_queue, slices=slices)
    found = list(doubts(lag_p99=0.0001, allowed=0.005, processes=[use], steal=steal))
    assert len(found) == (says is not None)
    assert says is None or says in found[0]


def test_a_broken_rule_fails_a_run_that_met_its_targets() -> None:
    """A 500 where none is allowed, and a stop rule, are failures with their reasons."""
    strict = msgspec.structs.replace(SCENARIO, allowed_server_errors=0)
    broken = judged(_status(verdict="PASS", lag_p99=0.0001), strict, server_errors=2, stopped="stopped: why")
    assert broken.verdict == "FAIL"
    assert broken.message == "stopped: why; 2 answers were 500 or above, allowed 0"


def test_a_verdict_names_its_reasons() -> None:
    """Which endpoint missed its target, and by how much."""
    status = judged(_status(verdict="FAIL", lag_p99=0.0001), SCENARIO)
    assert status.message == "login: p95 312 ms, target 100 ms"


@pytest.mark.parametrize(
    ("slow", "verdict"),
    [
        ([0] * 30, "PASS"),
        ([0, 1] * 15, "PASS"),
        ([1] * 20 + [0] * 10, "TOO FEW"),
        ([1] * 30, "TOO FEW"),
        ([2] * 30, "FAIL"),
        ([0] * 26 + [15] * 4, "TOO FEW"),
    ],
    ids=["none", "one in 40", "one in 30", "one in 20", "one in 10", "one in 10, in a row"],
)
def test_a_verdict_is_one_that_is_sure(slow: list[int], verdict: Verdict) -> None:
    """Of 600 requests in half a minute clearly fewer or clearly more than 5 % must be slow, in a row counting for less."""
    run = _status(verdict="FAIL", lag_p99=0.0001)
    times = _spread([0.01] * (20 - each) + [0.3] * each for each in slow)
    endpoint = msgspec.structs.replace(run.endpoints[0], count=600, p95=times.response.quantile(0.95))
    status = msgspec.structs.replace(run, endpoints=(endpoint,))
    judgement = judged(sure(status, [times], block_seconds=1, fewest=59, trend=False), SCENARIO)
    found = judgement.endpoints[0]
    assert (found.verdict, judgement.verdict) == (verdict, verdict)
    assert ("not clear" in judgement.message) == (verdict == "TOO FEW")


def test_fewer_samples_than_it_takes_have_no_interval() -> None:
    """And the reason is that they are too few, not that they are unclear."""
    run = _status(verdict="TOO FEW", lag_p99=0.0001)
    endpoint = msgspec.structs.replace(run.endpoints[0], count=58, p95=0.01)
    status = sure(
        msgspec.structs.replace(run, endpoints=(endpoint,)),
        [_spread([[0.01] * 2] * 29)],
        block_seconds=1,
        fewest=59,
        trend=False,
    )
    assert status.endpoints[0].p95_interval is None
    assert judged(status, SCENARIO).message == "too few requests to judge a p95: login 58"


def test_an_endpoint_that_is_not_clear_says_between_what() -> None:
    """So that a person sees whether a longer run would tell."""
    run = _status(verdict="FAIL", lag_p99=0.0001)
    times = _spread([0.01] * 19 + [0.3] for _ in range(30))
    endpoint = msgspec.structs.replace(run.endpoints[0], count=600, p95=0.01)
    status = msgspec.structs.replace(run, endpoints=(endpoint,))
    judgement = judged(sure(status, [times], block_seconds=1, fewest=59, trend=False), SCENARIO)
    assert judgement.message == "login: not clear, p95 10 ms (9.7-310 ms), target 100 ms"


@pytest.mark.parametrize(
    ("status", "usable", "failures", "shed"),
    [
        (200, True, {}, 0),
        (200, False, {"unusable answer": 1}, 0),
        (401, False, {"unexpected status": 1}, 0),
        (429, False, {"unexpected status": 1}, 1),
        (500, False, {"server error": 1}, 0),
        (503, False, {"server error": 1}, 1),
    ],
)
def test_answers_are_counted_by_what_was_wrong(
    status: int, *, usable: bool, failures: dict[str, int], shed: int
) -> None:
    """An unexpected answer is an error, entered with the timeout; what was shed is also counted apart."""
    tally = StepTally(STEPS["login"], 10.0, Traces(0))
    answer = Answer(begun=1.0, sent=1.5, first=2.0, last=2.0, status=status)
    tally.answered(Exchange("login", 1.0), answer, usable=usable)
    counts = tally.take()
    (block,) = counts.blocks
    assert block.outcomes == (failures or {"ok": 1})
    assert counts.shed == shed
    assert block.response.quantile(1) == pytest.approx(1.0 if usable else 10.0, rel=0.03)
    assert block.service.quantile(1) == pytest.approx(0.5, rel=0.03)


def _spread(seconds: Iterable[list[float]]) -> EndpointResult:
    whole, blocks = Histogram(), []
    for at, each in enumerate(seconds):
        block = Histogram()
        for duration in each:
            block.record(duration)
        blocks.append(Block(at, block.freeze(), Distribution(), {"ok": len(each)}))
        whole.add(block.freeze())
    return EndpointResult(
        name="login",
        statuses={},
        failures={},
        response=whole.freeze(),
        service=Distribution(),
        connect=Distribution(),
        blocks=tuple(blocks),
    )


def _status(*, verdict: Verdict, lag_p99: float) -> RunStatus:
    endpoint = EndpointStatus(
        name="login", method="POST", route="/auth/login", count=100, p95=0.312, target=0.1, verdict=verdict
    )
    return RunStatus(
        run="r",
        scenario="mine",
        state="done",
        started=0,
        updated=0,
        pid=1,
        target="http://a:1",
        seconds=1,
        users=1,
        completed=100,
        lag_p99=lag_p99,
        endpoints=(endpoint,),
    )
