"""Targets, read from slo.toml: what each route, query and alert is held to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from observability.model.faults import fault

if TYPE_CHECKING:
    from pathlib import Path


Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
_Milliseconds = Annotated[float, msgspec.Meta(gt=0)]
_PerMinute = Annotated[float, msgspec.Meta(gt=0)]


class SloError(ValueError):
    """The targets file is missing, is not TOML, or says something that cannot be."""


class RouteTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one route is held to. Latency in milliseconds, rates in requests a minute.

    An objective is the share of requests over a long time that must be answered within the target, or without an error
    of the service; without one nothing is alerted of how fast its error budget, the rest, is used up.
    """

    name: str
    method: str
    route: str
    p95_ms: _Milliseconds
    sustained_per_minute: _PerMinute | None = None
    peak_per_minute: _PerMinute | None = None
    latency_objective: Share | None = None
    availability_objective: Share | None = None

    @property
    def p95(self) -> float:
        """The target in seconds."""
        return self.p95_ms / 1000


class QueryTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one named query is held to, in milliseconds."""

    name: str
    p95_ms: _Milliseconds


class AlertRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A figure, the threshold it must not pass, and for how many seconds it may."""

    name: str
    figure: Literal["p95_over_target", "error_rate", "database_cpu", "evictions_per_minute"]
    above: Annotated[float, msgspec.Meta(ge=0)]
    for_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class BurnRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many times faster than its objective allows an error budget may be used up, over a long and a short window.

    Both windows must be above: the long one says that it matters, the short one that it still goes on (Google's SRE
    workbook, chapter 5).
    """

    name: str
    factor: Annotated[float, msgspec.Meta(gt=0)]
    long_seconds: Annotated[int, msgspec.Meta(gt=0)]
    short_seconds: Annotated[int, msgspec.Meta(gt=0)]


class Slo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file. ``fewest_samples`` is how many requests a p95 needs before it is judged."""

    route: tuple[RouteTarget, ...] = ()
    query: tuple[QueryTarget, ...] = ()
    alert: tuple[AlertRule, ...] = ()
    burn: tuple[BurnRule, ...] = ()
    fewest_samples: Annotated[int, msgspec.Meta(ge=1)] = 59

    def target(self, method: str, route: str) -> RouteTarget | None:
        """Return the target of a route, or None when it has none."""
        return next((t for t in self.route if t.method == method and t.route == route), None)


def load_slo(path: Path) -> Slo:
    """Read a targets file; raise SloError, naming the file and the fault, when it cannot be used."""
    try:
        slo = msgspec.toml.decode(path.read_bytes(), type=Slo)
    except OSError as error:
        raise SloError(f"cannot read targets from {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SloError(f"{path}: {error}") from error
    except msgspec.DecodeError as error:  # ValidationError is one
        raise SloError(f"{path}: {fault(error, Slo)}") from error
    keys = [(t.method, t.route) for t in slo.route]
    if len(keys) != len(set(keys)):
        raise SloError(f"{path}: a route has two targets")
    names = [*(rule.name for rule in slo.alert), *(rule.name for rule in slo.burn)]
    if len(names) != len(set(names)):
        raise SloError(f"{path}: two alerts have one name")
    if backward := [rule.name for rule in slo.burn if rule.short_seconds >= rule.long_seconds]:
        raise SloError(f"{path}: the short window of {backward[0]} is not shorter than the long one")
    return slo
