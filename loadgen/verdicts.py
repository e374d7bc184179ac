"""The judgement of a run: pure functions of what was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from loadgen.durations import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from loadgen.intervals import Sample
    from loadgen.results import ProcessUse

Verdict = Literal["PASS", "FAIL", "TOO FEW"]
Validity = Literal["VALID", "INVALID"]

LAG_FLOOR = 0.001
"""Seconds by which the generator may be late at its 99th percentile however tight the targets are."""

LAG_SHARE = 0.05
"""Share of the tightest target by which it may be late."""

BUSIEST = 0.9
"""Share of a core that a sending process may want, running or waiting for one; past it, it is itself a queue."""

MOST_STEAL = 0.1
"""Share of the machine's time that its host may give to others."""


def judge_step(
    *, count: int, p95: float | None, target: float | None, fewest: int, sample: Sample | None = None
) -> Verdict | None:
    """Judge one endpoint's p95 (seconds) against its target; None when it has no target.

    With the sample of its response times the verdict is one that is 95 % sure, or TOO FEW.
    """
    if target is None:
        return None
    if p95 is None or count < fewest:
        return "TOO FEW"
    verdict: Verdict = "PASS" if p95 < target else "FAIL"
    if sample is None or sample.side(0.95, target) == ("below" if p95 < target else "above"):
        return verdict
    return "TOO FEW"


def judge_run(
    steps: Iterable[Verdict | None], *, completed: int, errors: int, allowed_error_rate: float, failed: bool = False
) -> Verdict:
    """Judge the whole run: any failure fails it, and so do more errors than allowed; else any endpoint unjudged leaves it so.

    ``failed`` says that it broke a rule of its scenario.
    """
    verdicts = list(steps)
    if failed or "FAIL" in verdicts or errors > allowed_error_rate * completed:
        return "FAIL"
    return "TOO FEW" if "TOO FEW" in verdicts or not completed else "PASS"


def lag_allowed(targets: Iterable[float]) -> float:
    """Return how late, in seconds, the generator may be at its 99th percentile."""
    return max(LAG_FLOOR, LAG_SHARE * min(targets, default=0.0))


def doubts(
    *, lag_p99: float | None, allowed: float, processes: Iterable[ProcessUse] = (), steal: float | None = None
) -> Iterator[str]:
    """Yield the reasons why the generator itself may have been what was slow; without one the run is VALID.

    Without a request sent on time there is no lag to speak of: the service was the limit.
    """
    if lag_p99 is not None and lag_p99 > allowed:
        yield f"the generator itself was late: lag p99 {duration(lag_p99)}, allowed {duration(allowed)}"
    for use in processes:
        waited = use.run_queue or 0.0
        if use.cpu + waited > BUSIEST * use.seconds:
            yield (
                f"sending process {use.number} was starved: it ran for {_percent(use.cpu / use.seconds)} of the time "
                f"and waited for a core for {_percent(waited / use.seconds)}; more --processes or cores would help"
            )
        elif use.slices and waited / use.slices > allowed:
            yield (
                f"sending process {use.number} waited {duration(waited / use.slices)} for a core each time it had "
                f"something to do, allowed {duration(allowed)}"
            )
    if steal is not None and steal > MOST_STEAL:
        yield f"other machines took {_percent(steal)} of this one's time"


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
