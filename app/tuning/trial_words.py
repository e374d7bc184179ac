"""What came of a trial: which parts of requests' time moved, and the sentence that says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.tuning import Comparison, Difference, Moved
from observability.read.detail import Period

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from console.ports import Feed, LoadRun

LEAST_MOVED = 0.0005
"""Seconds below which a part has not moved."""

MOST_MOVED = 12

_SAYS = {
    "loop": "it waits for its turn on the event loop",
    "hash_wait": "it waits for a hashing thread",
    "hash": "its password is hashed",
    "pool_wait": "it waits for a database connection",
    "sql": "it waits for PostgreSQL",
    "redis": "it waits for Redis",
    "rest": "it works",
}


async def moved(feed: Feed, before: LoadRun, after: LoadRun) -> tuple[Moved, ...]:
    """Return the parts of the slow requests' time that moved between two runs, those that moved most first."""
    found = []
    for endpoint in after.endpoints:
        parts = [await _parts(feed, endpoint.method, endpoint.route, run) for run in (before, after)]
        if not all(parts):
            continue
        for part, seconds in parts[1].items():
            former = parts[0].get(part, 0.0)
            if abs(seconds - former) >= LEAST_MOVED:
                found.append(Moved(endpoint.method, endpoint.route, part, former, seconds))
    return tuple(sorted(found, key=lambda each: -abs(each.after - each.before))[:MOST_MOVED])


async def _parts(feed: Feed, method: str, route: str, run: LoadRun) -> Mapping[str, float]:
    detail = await feed.route(method, route, Period(max(10, round(run.elapsed)), run.started + run.elapsed))
    cohorts = detail.anatomy if detail else ()
    return next((dict(cohort.parts) for cohort in cohorts if cohort.cohort == "p99"), {})


def outcome(comparison: Comparison, run: LoadRun, parts: Sequence[Moved]) -> str:
    """Say in words what a change did: the p95 that moved most (else the p50, else the p99), why, and how many others did."""
    if comparison.refusal:
        said = f"Nothing can be said for sure: {comparison.refusal[:1].lower()}{comparison.refusal[1:]}"
        return f"{said} {_foremost(parts)}" if parts else said
    moved_much = [each for each in comparison.differences if each.judgement == "real"]
    if not moved_much:
        return "It made no difference that is more than noise."
    told = next(name for name in ("p95", "p50", "p99") if any(each.percentile == name for each in moved_much))
    real = [each for each in moved_much if each.percentile == told]
    foremost = max(real, key=_size)
    routes = {endpoint.name: (endpoint.method, endpoint.route) for endpoint in run.endpoints}
    method, route = routes.get(foremost.endpoint, ("", foremost.endpoint))
    rose = (foremost.after or 0) > (foremost.before or 0)
    said = (
        f"{method} {route} {told} {'rose' if rose else 'fell'} from {milliseconds(foremost.before)} to "
        f"{milliseconds(foremost.after)} ms".strip()
    )
    if cause := _cause(parts, method, route, rose=rose):
        said += f"; {cause}"
    others = len(real) - 1
    more = f" {others} other {'endpoint' if others == 1 else 'endpoints'} changed, too." if others else ""
    return f"{said}.{more}"


def _foremost(parts: Sequence[Moved]) -> str:
    """Say what grew most, or else what moved most."""
    part = next((each for each in parts if each.after > each.before), parts[0])
    return (
        f"What moved most in slow requests of {part.method} {part.route}: {_SAYS[part.part]}, "
        f"{milliseconds(part.before)} ms before and {milliseconds(part.after)} ms after."
    )


def _cause(parts: Iterable[Moved], method: str, route: str, *, rose: bool) -> str:
    """Say what the slow requests of a route wait for, or waited for."""
    of_route = [
        each for each in parts if (each.method, each.route) == (method, route) and (each.after > each.before) == rose
    ]
    if not of_route:
        return ""
    part = of_route[0]
    if rose:
        return f"{_SAYS[part.part]}: {milliseconds(part.after - part.before)} ms more of its slow requests' time"
    return f"{_SAYS[part.part]} {milliseconds(part.before - part.after)} ms less"


def _size(difference: Difference) -> float:
    before, after = difference.before or 0.0, difference.after or 0.0
    return max(before, after) / max(min(before, after), 1e-6)


def milliseconds(seconds: float | None) -> str:
    """Write a duration in milliseconds, with as many digits as say something."""
    value = (seconds or 0.0) * 1000
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"  # noqa: PLR2004 - two digits say enough
