"""The judgement of a run: pure functions of what was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Verdict = Literal["PASS", "FAIL", "TOO FEW"]
Validity = Literal["VALID", "INVALID"]

LAG_FLOOR = 0.005
"""Seconds by which the generator may be late at its 99th percentile however tight the targets are."""

LAG_SHARE = 0.05
"""Share of the tightest target by which it may be late."""


def judge_step(*, count: int, p95: float | None, target: float | None, fewest: int) -> Verdict | None:
    """Judge one endpoint's p95 (seconds) against its target; None when it has no target."""
    if target is None:
        return None
    if p95 is None or count < fewest:
        return "TOO FEW"
    return "PASS" if p95 < target else "FAIL"


def judge_run(steps: Iterable[Verdict | None], *, completed: int, errors: int, allowed_error_rate: float) -> Verdict:
    """Judge the whole run: any failure fails it, and so do more errors than allowed; else any endpoint unjudged leaves it so."""
    verdicts = list(steps)
    if "FAIL" in verdicts or errors > allowed_error_rate * completed:
        return "FAIL"
    return "TOO FEW" if "TOO FEW" in verdicts or not completed else "PASS"


def lag_allowed(targets: Iterable[float]) -> float:
    """Return how late, in seconds, the generator may be at its 99th percentile."""
    return max(LAG_FLOOR, LAG_SHARE * min(targets, default=0.0))


def judge_validity(*, lag_p99: float | None, allowed: float) -> Validity:
    """Say whether the generator kept up. Without a request sent on time there is no lag to speak of: the service was the limit."""
    return "INVALID" if lag_p99 is not None and lag_p99 > allowed else "VALID"
