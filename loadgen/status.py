"""Turning what was counted into what is told: the status of a run and its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from loadgen.durations import duration
from loadgen.results import EndpointResult, EndpointStatus, RunStatus
from loadgen.verdicts import Verdict, judge_run, judge_step, judge_validity, lag_allowed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from loadgen.tally import StepTally, Tally
    from observability.model import Histogram, Slo

_PERCENTILES = (0.5, 0.95, 0.99)


def endpoint_statuses(tally: Tally, slo: Slo) -> tuple[EndpointStatus, ...]:
    """Return every step's figures and its verdict so far."""
    return tuple(_endpoint(step, slo) for step in tally.steps.values())


def endpoint_results(tally: Tally) -> tuple[EndpointResult, ...]:
    """Return every step's full counts."""
    return tuple(
        EndpointResult(
            name=step.step.name,
            statuses=_named(step.statuses),
            failures=_named(step.failures),
            response=step.response.freeze(),
            service=step.service.freeze(),
            connect=step.connect.freeze(),
        )
        for step in tally.steps.values()
    )


def overall_percentiles(tally: Tally) -> tuple[float | None, float | None, float | None]:
    """Return p50, p95 and p99 of all responses together."""
    return _percentiles(tally.response())


def allowed_lag(endpoints: Iterable[EndpointStatus]) -> float:
    """Return how late the generator may be, in seconds, given the targets of these endpoints."""
    return lag_allowed(endpoint.target for endpoint in endpoints if endpoint.target is not None)


def judged(status: RunStatus, allowed_error_rate: float) -> RunStatus:
    """Return a finished run's status with its verdict, its validity and a sentence that gives the reasons.

    A run that is not valid keeps its verdict in sight, unless it would be a PASS: that is not to be had from a generator that
    could not keep up.
    """
    allowed = allowed_lag(status.endpoints)
    validity = judge_validity(lag_p99=status.lag_p99, allowed=allowed)
    verdict: Verdict | None = judge_run(
        (endpoint.verdict for endpoint in status.endpoints),
        completed=status.completed,
        errors=status.errors,
        allowed_error_rate=allowed_error_rate,
    )
    reasons = list(_reasons(status, allowed_error_rate))
    if validity == "INVALID":
        reasons.insert(
            0, f"the generator itself was late: lag p99 {duration(status.lag_p99)}, allowed {duration(allowed)}"
        )
        verdict = None if verdict == "PASS" else verdict
    changes: Mapping[str, object] = {"verdict": verdict, "validity": validity, "message": "; ".join(reasons)}
    return msgspec.structs.replace(status, **changes)


def _reasons(status: RunStatus, allowed_error_rate: float) -> Iterable[str]:
    if status.errors > allowed_error_rate * status.completed:
        yield f"{status.errors / status.completed:.2%} of the requests failed, allowed {allowed_error_rate:.2%}"
    for endpoint in status.endpoints:
        if endpoint.verdict == "FAIL":
            yield f"{endpoint.name}: p95 {duration(endpoint.p95)}, target {duration(endpoint.target)}"
        elif endpoint.verdict == "TOO FEW":
            yield f"{endpoint.name}: {endpoint.count} requests are too few to judge a p95"


def _endpoint(tally: StepTally, slo: Slo) -> EndpointStatus:
    step = tally.step
    p50, p95, p99 = _percentiles(tally.response)
    target = slo.target(step.method, step.route)
    limit = target.p95 if target else None
    return EndpointStatus(
        name=step.name,
        method=step.method,
        route=step.route,
        count=tally.count,
        errors=tally.errors,
        shed=tally.shed,
        p50=p50,
        p95=p95,
        p99=p99,
        target=limit,
        verdict=judge_step(count=tally.count, p95=p95, target=limit, fewest=slo.fewest_samples),
    )


def _percentiles(histogram: Histogram) -> tuple[float | None, float | None, float | None]:
    p50, p95, p99 = histogram.quantiles(_PERCENTILES)
    return p50, p95, p99


def _named(counts: Mapping[str, int] | Mapping[int, int]) -> dict[str, int]:
    return {str(name): count for name, count in sorted(counts.items())}
