"""What the rules of the targets file say of a look at the fleet: pure, one finding for each rule and subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from observability.read.history import HOUR
from observability.read.view import AlertUnit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from observability.model import AlertRule, BurnRule, Slo
    from observability.read.budget import Budgets, Objective, Spent
    from observability.read.view import View

_MINUTE = 60


class Finding(msgspec.Struct, frozen=True):
    """What a rule says now. ``reason`` gives figure and threshold in words, or why there is no judgement."""

    rule: str
    subject: str
    judgement: Literal["above", "within", "too few", "unknown"]
    figure: float | None
    threshold: float
    reason: str
    for_seconds: float = 0.0
    unit: AlertUnit = ""


def findings(slo: Slo, view: View, budgets: Budgets) -> tuple[Finding, ...]:
    """Return what every rule finds in a view and in the error budgets."""
    return (
        *(finding for rule in slo.alert for finding in _FIGURES[rule.figure](rule, slo, view)),
        *(finding for rule in slo.burn for finding in _burns(rule, slo, budgets)),
    )


def _found(rule: AlertRule, subject: str, figure: float, says: str, limit: str) -> Finding:
    above = figure > rule.above
    reason = f"{says}, {'more than' if above else 'within'} {limit}"
    judgement: Literal["above", "within"] = "above" if above else "within"
    return Finding(rule.name, subject, judgement, figure, rule.above, reason, rule.for_seconds, _UNITS[rule.figure])


def _not_judged(rule: AlertRule, subject: str, judgement: Literal["too few", "unknown"], reason: str) -> Finding:
    return Finding(rule.name, subject, judgement, None, rule.above, reason, rule.for_seconds, _UNITS[rule.figure])


def _latencies(rule: AlertRule, slo: Slo, view: View) -> Iterator[Finding]:
    measured = {(route.method, route.route): route.latency for route in view.routes}
    for target in slo.route:
        subject = f"{target.method} {target.route}"
        latency = measured.get((target.method, target.route))
        count = latency.count if latency else 0
        if latency is None or latency.p95 is None or count < slo.fewest_samples:
            yield _not_judged(rule, subject, "too few", _few(count, slo, "the last minute"))
            continue
        limit = f"{rule.above:g} times the target of {_ms(target.p95)}"
        yield _found(rule, subject, latency.p95 / target.p95, f"p95 is {_ms(latency.p95)}", limit)


def _errors(rule: AlertRule, slo: Slo, view: View) -> Iterator[Finding]:
    if view.error_rate is None or view.requests < slo.fewest_samples:
        yield _not_judged(rule, "", "too few", _few(view.requests, slo, "the last minute"))
        return
    says = f"{_percent(view.error_rate)} of {view.requests:,} requests fail"
    yield _found(rule, "", view.error_rate, says, _percent(rule.above))


def _database_cpu(rule: AlertRule, _: Slo, view: View) -> Iterator[Finding]:
    if view.database_cpu is None:
        yield _not_judged(rule, "", "unknown", "no worker can see PostgreSQL's processes")
        return
    says = f"PostgreSQL uses {_percent(view.database_cpu)} of its machine's processors"
    yield _found(rule, "", view.database_cpu, says, _percent(rule.above))


def _evictions(rule: AlertRule, _: Slo, view: View) -> Iterator[Finding]:
    evicted = view.redis.evictions_per_minute if view.redis else None
    if evicted is None:
        yield _not_judged(rule, "", "unknown", "the Redis server does not tell")
        return
    yield _found(rule, "", evicted, f"Redis evicted {evicted:,.0f} keys in a minute", f"{rule.above:,g}")


_FIGURES: dict[str, Callable[[AlertRule, Slo, View], Iterator[Finding]]] = {
    "p95_over_target": _latencies,
    "error_rate": _errors,
    "database_cpu": _database_cpu,
    "evictions_per_minute": _evictions,
}


_UNITS: dict[str, AlertUnit] = {
    "p95_over_target": "times",
    "error_rate": "share",
    "database_cpu": "share",
    "evictions_per_minute": "per minute",
}


def _burns(rule: BurnRule, slo: Slo, budgets: Budgets) -> Iterator[Finding]:
    longs, shorts = budgets.spent(rule.long_seconds), budgets.spent(rule.short_seconds)
    for objective, long, short in zip(budgets.objectives, longs, shorts, strict=True):
        yield _burn(rule, slo, objective, long, short)


def _burn(rule: BurnRule, slo: Slo, objective: Objective, long: Spent, short: Spent) -> Finding:
    """Judge by the slower of both windows: above the factor it is only if both are."""
    over = f"the last {_span(short.seconds)}"
    burns = [spent.burn(objective.share) for spent in (long, short)]
    if short.requests < slo.fewest_samples or None in burns:
        few = _few(short.requests, slo, over)
        return Finding(rule.name, objective.subject, "too few", None, rule.factor, few, unit="times")
    figure = min(burn for burn in burns if burn is not None)
    above = figure > rule.factor
    asked = f" (of {_span(rule.long_seconds)} asked for)" if rule.long_seconds > HOUR else ""
    lately = f", {_percent(short.bad / short.requests)} in {over}" if short.seconds < long.seconds else ""
    reason = (
        f"{_percent(long.bad / long.requests)} of requests were {_BAD[objective.kind]} in {_span(long.seconds)}{asked}"
        f"{lately}: the budget of {_percent(1 - objective.share)} is used up {figure:.1f} times as fast as it lasts, {'more than' if above else 'within'} {rule.factor:g}"
    )
    judgement: Literal["above", "within"] = "above" if above else "within"
    return Finding(rule.name, objective.subject, judgement, figure, rule.factor, reason, unit="times")


_BAD = {"latency": "slow", "availability": "failing"}


def _few(count: int, slo: Slo, over: str) -> str:
    requests = "request" if count == 1 else "requests"
    return f"{count:,} {requests} in {over}; from {slo.fewest_samples:,} on they are judged"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _span(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < HOUR else f"{seconds / HOUR:.3g} h"
