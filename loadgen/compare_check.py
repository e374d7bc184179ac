"""Whether two runs can be compared at all, and what was different between them besides what they measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from loadgen.errors import IncomparableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.results import Environment, Result

FEWEST_BLOCKS = 10
"""Of a run; of fewer nobody can tell how much they vary."""

_SAME_LOAD = frozenset(
    {
        "name",
        "about",
        "processes",
        "seed",
        "allowed_error_rate",
        "allowed_server_errors",
        "stop",
        "steady",
    }
)
"""What two scenarios may say differently and still ask for the same load: another seed is another order of the same mix."""

_NOTABLE_STEAL = 0.01


class Change(msgspec.Struct, frozen=True):
    """Something about the runs' circumstances that differs, in words."""

    name: str
    a: str
    b: str


def refuse_incomparable(a: Result, b: Result) -> None:
    """Raise IncomparableError when the runs did not do the same, or when one proves nothing."""
    if a.status.run == b.status.run:
        raise IncomparableError(f"both are run {a.status.run}")
    for run in (a, b):
        if why := _proves_nothing(run):
            raise IncomparableError(f"run {run.status.run} {why}")
    if other := _other_load(a, b):
        raise IncomparableError(f"the runs did not do the same: {other}")
    if not any(_enough(a, name) and _enough(b, name) for name in (endpoint.name for endpoint in a.endpoints)):
        raise IncomparableError(
            f"no endpoint has {max(a.fewest_samples, b.fewest_samples)} samples in both runs; `gatewatch load tune` sends enough"
        )


def changes(a: Result, b: Result) -> Iterator[Change]:
    """Yield what else was different: where, with what, and on which machine."""
    for name in sorted(_SAME_LOAD - {"about"}):
        if (before := getattr(a.scenario, name)) != (after := getattr(b.scenario, name)):
            yield Change(name, _words(before), _words(after))
    if a.environment is None or b.environment is None:
        return
    before, after = _circumstances(a.environment), _circumstances(b.environment)
    for name in (*before, *(name for name in after if name not in before)):
        if before.get(name) != after.get(name):
            yield Change(name, before.get(name, "-"), after.get(name, "-"))
    steals = [run.steal or 0.0 for run in (a.environment, b.environment)]
    if max(steals) >= _NOTABLE_STEAL:
        yield Change("taken by other machines", *(f"{steal:.1%}".replace("%", " %") for steal in steals))


def _proves_nothing(run: Result) -> str:
    if run.status.state != "done":
        return f"did not come to its end ({run.status.state})"
    if run.stopped:
        return f"was ended before its time ({run.stopped})"
    if run.status.validity != "VALID":
        return f"is INVALID ({'; '.join(run.invalid) or 'nothing was sent'})"
    if len(run.moments) < FEWEST_BLOCKS:
        return (
            f"is too short: it has {len(run.moments)} blocks of {run.block_seconds} s, and {FEWEST_BLOCKS} are needed"
        )
    return ""


def _other_load(a: Result, b: Result) -> str:
    for name in a.scenario.__struct_fields__:
        before, after = getattr(a.scenario, name), getattr(b.scenario, name)
        if name not in _SAME_LOAD and before != after:
            return f"{name} was {_words(before)} and {_words(after)}"
    routes = [{(each.name, each.method, each.route) for each in run.endpoints} for run in (a, b)]
    if routes[0] != routes[1]:
        name, method, route = min(routes[0] ^ routes[1])
        return f"only one of them asked for {name}, {method} {route}"
    schemes = [run.environment.target.partition(":")[0] if run.environment else "" for run in (a, b)]
    if schemes[0] != schemes[1]:
        return (
            f"one was sent over {schemes[0] or 'nobody knows what'}, the other over {schemes[1] or 'nobody knows what'}"
        )
    return ""


def _enough(run: Result, name: str) -> bool:
    return any(endpoint.name == name and endpoint.response.count >= run.fewest_samples for endpoint in run.endpoints)


def _circumstances(environment: Environment) -> dict[str, str]:
    targets = {f"target of {route.name}": f"{route.p95 * 1000:g} ms" for route in environment.slo.route}
    return {
        "service": environment.target,
        **{f"version of {name}": version for name, version in sorted(environment.versions.items())},
        **targets,
        "machine": environment.machine,
        "cores": str(environment.cpus),
    }


def _words(value: object) -> str:
    if isinstance(value, str):
        return value or "not given"
    if isinstance(value, int | float):
        return f"{value:,.10g}"
    return msgspec.json.encode(value).decode() if value is not None else "not given"
