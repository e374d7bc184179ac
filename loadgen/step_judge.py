"""Whether a service met its targets over a stretch of a run, and kept up with what was asked of it."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from loadgen.durations import duration, share
from loadgen.search import Outcome
from loadgen.step_tally import OK
from loadgen.verdicts import Verdict, judge_step
from observability.model import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadgen.results import EndpointResult, EndpointStatus, Result

_BEHIND = 0.02
"""Share of the requests of a step by which their answers may fall behind: more, and a queue grows without end."""


class EndpointStep(msgspec.Struct, frozen=True):
    """One endpoint over a step. Seconds; ``verdict`` is None without a target."""

    name: str
    count: int
    errors: int
    p95: float | None
    target: float | None
    verdict: Verdict | None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One rate that was tried, without its warm-up. ``rate`` is requests a minute; ``says`` is why it is not met."""

    rate: float
    run: str
    outcome: Outcome
    says: str
    planned: int
    completed: int
    errors: int
    endpoints: tuple[EndpointStep, ...]


def judge(result: Result, *, rate: float, warm: float, until: float) -> Step:
    """Judge what was intended from ``warm`` to ``until`` seconds after a run's start.

    An endpoint with too few samples is left to judge by the others: the rarest would otherwise decide how long a step takes.
    When all that have a target have too few, nothing is known.
    """
    status = {each.name: each for each in result.status.endpoints}
    endpoints = tuple(
        _endpoint(each, status[each.name], result.fewest_samples, warm, until) for each in result.endpoints
    )
    moments = [moment for moment in result.moments if warm <= moment.at < until]
    planned = sum(moment.planned for moment in moments)
    completed = sum(moment.completed for moment in moments)
    errors = sum(each.errors for each in endpoints)
    missed = tuple(_missed(endpoints, errors, result.scenario.allowed_error_rate, planned - completed, planned))
    unknown = result.invalid or tuple(_unjudged(endpoints, planned))
    outcome: Outcome = "unknown" if unknown else "missed" if missed else "met"
    return Step(
        rate=rate,
        run=result.status.run,
        outcome=outcome,
        says="; ".join(unknown or missed),
        planned=planned,
        completed=completed,
        errors=errors,
        endpoints=endpoints,
    )


def _endpoint(result: EndpointResult, status: EndpointStatus, fewest: int, warm: float, until: float) -> EndpointStep:
    blocks = [block for block in result.blocks if warm <= block.at < until]
    outcomes: Counter[str] = sum((Counter(block.outcomes) for block in blocks), Counter())
    count = outcomes.total()
    p95 = Histogram.of(*(block.response for block in blocks)).quantile(0.95)
    return EndpointStep(
        result.name,
        count,
        count - outcomes[OK],
        p95,
        status.target,
        judge_step(count=count, p95=p95, target=status.target, fewest=fewest),
    )


def _unjudged(endpoints: Sequence[EndpointStep], planned: int) -> Iterator[str]:
    verdicts = {each.verdict for each in endpoints if each.verdict}
    if verdicts == {"TOO FEW"} or not planned:
        yield f"{planned:,} requests are too few to judge a p95; longer steps would do"


def _missed(endpoints: Sequence[EndpointStep], errors: int, allowed: float, behind: int, planned: int) -> Iterator[str]:
    for each in endpoints:
        if each.verdict == "FAIL":
            yield f"{each.name}: p95 {duration(each.p95)}, target {duration(each.target)}"
    count = sum(each.count for each in endpoints)
    if errors > allowed * count:
        yield f"{share(errors / count)} of the requests failed, allowed {share(allowed)}"
    if behind > max(_BEHIND * planned, 3 * math.sqrt(planned)):
        yield f"{behind:,} of {planned:,} requests were left behind"
