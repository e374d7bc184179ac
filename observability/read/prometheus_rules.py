"""The targets file's alerts as a Prometheus rules file, over the metrics that /metrics shows.

Thresholds and objectives lie on bucket bounds, so both sides count alike; Prometheus alone has the long windows whole.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.utils import floatToGoString

from observability.read.budget import objectives
from observability.read.words import OUR_FAULT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from observability.model import AlertRule, BurnRule, Slo
    from observability.read.budget import Objective

_DURATION = "http_server_request_duration_seconds"
_ANSWERED = 'http_response_status_code!=""'
_FAILED = (
    'http_response_status_code=~"5.."',
    f'http_response_status_code!~"5..",error_type=~"{"|".join(sorted(OUR_FAULT))}"',
)
_LOOK = "1m"
"""What figures are over, as in the console; it takes a scrape every 30 s at least."""


class Rule(NamedTuple):
    """One alerting rule: ``holds`` is how long ``expression`` must be true."""

    name: str
    expression: str
    holds: float
    labels: dict[str, str]
    summary: str


def rules_file(slo: Slo, internal: Sequence[str]) -> str:
    """Return the file. ``internal`` are route prefixes that the service's figures leave out."""
    rules = [rule for alert in slo.alert for rule in _alert(alert, slo, internal)]
    rules += [_burn(burn, objective, slo) for burn in slo.burn for objective in objectives(slo)]
    lines = ["# Made from the targets file by `gatewatch alerts rules`: edit that one, and make this anew.", "groups:"]
    lines += ["  - name: gatewatch", "    rules:" if rules else "    rules: []"]
    return "\n".join([*lines, *(line for rule in rules for line in _written(rule))]) + "\n"


def _alert(rule: AlertRule, slo: Slo, internal: Sequence[str]) -> Iterator[Rule]:
    if rule.figure == "p95_over_target":
        for target in slo.route:
            route = _route(target.method, target.route)
            quantile = (
                f"histogram_quantile(0.95, sum by (le) (rate({_DURATION}_bucket{{{route},{_ANSWERED}}}[{_LOOK}])))"
            )
            above = f"{quantile} > {_number(rule.above * target.p95)}"
            summary = f"p95 of {target.method} {target.route} is above {rule.above:g} times its target"
            yield Rule(
                rule.name, f"{above}{_enough(slo, route, _LOOK)}", rule.for_seconds, _subject(target.name), summary
            )
        return
    expression, summary = {
        "error_rate": (_error_rate(rule, slo, internal), f"more than {rule.above:.3%} of requests fail"),
        "database_cpu": (
            f"max(gatewatch_database_cpu_utilization) > {_number(rule.above)}",
            f"PostgreSQL uses more than {rule.above:.0%} of its machine's processors",
        ),
        "evictions_per_minute": (
            f"sum(increase(redis_keys_evicted_total[{_LOOK}])) > {_number(rule.above)}",
            f"Redis evicts more than {rule.above:g} keys a minute",
        ),
    }[rule.figure]
    yield Rule(rule.name, expression, rule.for_seconds, {}, summary)


def _error_rate(rule: AlertRule, slo: Slo, internal: Sequence[str]) -> str:
    own = f'http_route!~"({"|".join(internal)})(/.*)?"' if internal else ""
    return f"{_failing(own, _LOOK)} > {_number(rule.above)}{_enough(slo, own, _LOOK)}"


def _burn(rule: BurnRule, objective: Objective, slo: Slo) -> Rule:
    route = _route(objective.route.method, objective.route.route)
    windows = [f"{seconds}s" for seconds in (rule.long_seconds, rule.short_seconds)]
    share = _slow if objective.kind == "latency" else _failing
    limit = f"{_number(rule.factor)} * {_number(round(1 - objective.share, 9))}"
    target = _number(objective.route.p95)
    matchers = f"{route},{_ANSWERED}" if objective.kind == "latency" else route
    above = [f"{share(matchers, window, target)} > {limit}" for window in windows]
    labels = {**_subject(objective.route.name), "objective": objective.kind}
    summary = f"the error budget of {objective.subject} is used up more than {rule.factor:g} times as fast as it lasts"
    return Rule(rule.name, " and ".join(above) + _enough(slo, matchers, windows[1]), 0, labels, summary)


def _slow(matchers: str, window: str, target: str) -> str:
    within = f'sum(rate({_DURATION}_bucket{{{matchers},le="{target}"}}[{window}]))'
    return f"1 - {within} / sum(rate({_DURATION}_count{{{matchers}}}[{window}]))"


def _failing(matchers: str, window: str, _: str = "") -> str:
    selectors = (",".join(filter(None, (matchers, failed))) for failed in _FAILED)
    failed = " + ".join(f"(sum(rate({_DURATION}_count{{{s}}}[{window}])) or vector(0))" for s in selectors)
    return f"({failed}) / sum(rate({_DURATION}_count{{{matchers}}}[{window}]))"


def _enough(slo: Slo, matchers: str, window: str) -> str:
    return f" and sum(increase({_DURATION}_count{{{matchers}}}[{window}])) >= {slo.fewest_samples}"


def _route(method: str, route: str) -> str:
    return f"http_request_method={json.dumps(method)},http_route={json.dumps(route)}"


def _subject(name: str) -> dict[str, str]:
    return {"route": name}


def _number(value: float) -> str:
    return str(floatToGoString(round(value, 9)))  # type: ignore[no-untyped-call]  # the library's own is not annotated


def _written(rule: Rule) -> Iterable[str]:
    """Write a rule as YAML."""
    yield f"      - alert: {_quoted(rule.name)}"
    yield f"        expr: {_quoted(rule.expression)}"
    yield f"        for: {rule.holds:g}s"
    if rule.labels:
        yield "        labels:"
        yield from (f"          {name}: {_quoted(value)}" for name, value in rule.labels.items())
    yield "        annotations:"
    yield f"          summary: {_quoted(rule.summary)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
