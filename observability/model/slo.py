"""Targets, read from slo.toml: what each route, query and alert is held to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from pathlib import Path


class SloError(ValueError):
    """The targets file is missing, is not TOML, or says something that cannot be."""


class RouteTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one route is held to. Latency in milliseconds, rates in requests a minute."""

    name: str
    method: str
    route: str
    p95_ms: float
    sustained_per_minute: float | None = None
    peak_per_minute: float | None = None

    @property
    def p95(self) -> float:
        """The target in seconds."""
        return self.p95_ms / 1000


class QueryTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one named query is held to, in milliseconds."""

    name: str
    p95_ms: float


class AlertRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A figure, the threshold it must not pass, and for how many seconds it may."""

    name: str
    figure: Literal["p95_over_target", "error_rate", "database_cpu", "evictions_per_minute"]
    above: float
    for_seconds: float = 0.0


class Slo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file. ``fewest_samples`` is how many requests a p95 needs before it is judged."""

    route: tuple[RouteTarget, ...] = ()
    query: tuple[QueryTarget, ...] = ()
    alert: tuple[AlertRule, ...] = ()
    fewest_samples: int = 59

    def target(self, method: str, route: str) -> RouteTarget | None:
        """Return the target of a route, or None when it has none."""
        return next((t for t in self.route if t.method == method and t.route == route), None)


def load_slo(path: Path) -> Slo:
    """Read a targets file; raise SloError, naming the file and the fault, when it cannot be used."""
    try:
        slo = msgspec.toml.decode(path.read_bytes(), type=Slo)
    except OSError as error:
        raise SloError(f"cannot read targets from {path}: {error.strerror}") from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SloError(f"{path}: {error}") from error
    keys = [(t.method, t.route) for t in slo.route]
    if len(keys) != len(set(keys)):
        raise SloError(f"{path}: a route has two targets")
    return slo
