"""Turning what was counted into what is told: the status of a run and its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from loadgen.durations import duration, share, span
from loadgen.intervals import sample_of
from loadgen.results import EndpointResult, EndpointStatus, RunStatus
from loadgen.verdicts import Verdict, judge_run, judge_step, lag_allowed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from loadgen.ledger import Ledger, StepLedger
    from loadgen.scenario import Scenario
    from loadgen.service_figures import Trend
    from observability.model import Histogram, Slo

_PERCENTILES = (0.5, 0.95, 0.99)


def endpoint_statuses(ledger: Ledger, slo: Slo) -> tuple[EndpointStatus, ...]:
    """Return every step's figures and its verdict so far."""
    return tuple(_endpoint(step, slo) for step in ledger.steps.values())


def endpoint_results(ledger: Ledger) -> tuple[EndpointResult, ...]:
    """Return every step's full counts."""
    return tuple(
        EndpointResult(
            name=step.step.name,
            method=step.step.method,
            route=step.step.route,
            statuses=dict(sorted(step.statuses.items())),
            failures=dict(sorted(step.failures.items())),
            response=step.response.freeze(),
            service=step.service.freeze(),
            connect=step.connect.freeze(),
            first_byte=step.first_byte.freeze(),
            blocks=tuple(block for _, block in sorted(step.blocks.items())),
            slowest=step.slowest,
            examples=step.examples,
        )
        for step in ledger.steps.values()
    )


def sure(
    status: RunStatus, endpoints: Iterable[EndpointResult], *, block_seconds: int, fewest: int, trend: bool
) -> RunStatus:
    """Return a finished run's status with the interval of each p95, and with verdicts that the intervals bear.

    ``trend`` says that the load was meant to change while it ran.
    """
    results = {endpoint.name: endpoint for endpoint in endpoints}
    found = (_sure(each, results[each.name], block_seconds, fewest, trend=trend) for each in status.endpoints)
    return msgspec.structs.replace(status, endpoints=tuple(found))


def overall_percentiles(ledger: Ledger) -> tuple[float | None, float | None, float | None]:
    """Return p50, p95 and p99 of all responses together."""
    return _percentiles(ledger.response())


def allowed_lag(endpoints: Iterable[EndpointStatus]) -> float:
    """Return how late the generator may be, in seconds, given the targets of these endpoints."""
    return lag_allowed(endpoint.target for endpoint in endpoints if endpoint.target is not None)


def judged(
    status: RunStatus,
    scenario: Scenario,
    *,
    invalid: Sequence[str] = (),
    server_errors: int = 0,
    stopped: str = "",
    trends: Sequence[Trend] = (),
) -> RunStatus:
    """Return a finished run's status with its verdict, its validity and a sentence that gives the reasons.

    ``invalid`` are the doubts about the generator itself, ``stopped`` which rule ended the run, ``trends`` what was
    judged of the service's own figures. A run that is not valid keeps
    its verdict in sight, unless it would be a PASS: that is not to be had from a generator that could not keep up.
    """
    broken = list(filter(None, (stopped, _too_many(server_errors, scenario.allowed_server_errors))))
    verdict: Verdict | None = judge_run(
        [*(endpoint.verdict for endpoint in status.endpoints), *(trend.verdict for trend in trends)],
        completed=status.completed,
        errors=status.errors,
        allowed_error_rate=scenario.allowed_error_rate,
        failed=bool(broken),
    )
    if invalid and verdict == "PASS":
        verdict = None
    grown = (trend.says for trend in trends if trend.verdict != "PASS")
    reasons = [*invalid, *broken, *_reasons(status, scenario.allowed_error_rate), *grown]
    changes: Mapping[str, object] = {
        "verdict": verdict,
        "validity": "INVALID" if invalid else "VALID",
        "message": "; ".join(reasons),
    }
    return msgspec.structs.replace(status, **changes)


def _too_many(server_errors: int, allowed: int | None) -> str:
    if allowed is None or server_errors <= allowed:
        return ""
    return f"{server_errors} answers were 500 or above, allowed {allowed}"


def _reasons(status: RunStatus, allowed_error_rate: float) -> Iterable[str]:
    if status.errors > allowed_error_rate * status.completed:
        yield f"{share(status.errors / status.completed)} of the requests failed, allowed {share(allowed_error_rate)}"
    few = [e for e in status.endpoints if e.verdict == "TOO FEW" and e.p95_interval is None]
    if few:
        yield f"too few requests to judge a p95: {', '.join(f'{endpoint.name} {endpoint.count}' for endpoint in few)}"
    for endpoint in status.endpoints:
        if endpoint.verdict == "FAIL":
            yield f"{endpoint.name}: p95 {duration(endpoint.p95)}, target {duration(endpoint.target)}"
        elif endpoint.verdict == "TOO FEW" and endpoint not in few:
            yield (
                f"{endpoint.name}: not clear, p95 {duration(endpoint.p95)} ({span(endpoint.p95_interval)}), "
                f"target {duration(endpoint.target)}"
            )


def _sure(
    status: EndpointStatus, result: EndpointResult, block_seconds: int, fewest: int, *, trend: bool
) -> EndpointStatus:
    if status.count < fewest:
        return status
    sample = sample_of(result.blocks, block_seconds, "response", trend=trend)
    return msgspec.structs.replace(
        status,
        p95_interval=sample.interval(0.95),
        verdict=judge_step(count=status.count, p95=status.p95, target=status.target, fewest=fewest, sample=sample),
    )


def _endpoint(ledger: StepLedger, slo: Slo) -> EndpointStatus:
    step = ledger.step
    p50, p95, p99 = _percentiles(ledger.response)
    target = slo.target(step.method, step.route)
    limit = target.p95 if target else None
    return EndpointStatus(
        name=step.name,
        method=step.method,
        route=step.route,
        count=ledger.count,
        errors=ledger.errors,
        shed=ledger.shed,
        failures=dict(ledger.failures),
        p50=p50,
        p95=p95,
        p99=p99,
        target=limit,
        verdict=judge_step(count=ledger.count, p95=p95, target=limit, fewest=slo.fewest_samples),
    )


def _percentiles(histogram: Histogram) -> tuple[float | None, float | None, float | None]:
    p50, p95, p99 = histogram.quantiles(_PERCENTILES)
    return p50, p95, p99
