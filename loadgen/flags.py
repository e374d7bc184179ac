"""The flags that every command shares which sends load: where to, judged by what, kept where, and what of a scenario is changed."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from loadgen.errors import LoadError, PlanError
from loadgen.overrides import overridden
from loadgen.plan import change_scenario
from loadgen.results import RUN_ID, RunFolder, new_run_id
from loadgen.runner import Order
from loadgen.scenario import MOST_PROCESSES, MOST_RATE, MOST_SECONDS, MOST_USERS
from loadgen.service import parse_source
from loadgen.target import parse_target
from observability.model import Slo, load_slo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loadgen.scenario import Scenario

DEFAULT_TARGET = "http://127.0.0.1:8000"

_MOST: dict[str, tuple[str, float]] = {
    "users": ("--users", MOST_USERS),
    "rate_per_minute": ("--rate", MOST_RATE),
    "seconds": ("--duration", MOST_SECONDS),
    "connections": ("--connections", MOST_USERS),
    "processes": ("--processes", MOST_PROCESSES),
}
"""Which flag changes which field of the scenario, and how large the value may be."""

_OTHERS = ("seed", "arrivals", "sampled")
"""Fields that the scenario itself looks after."""

_STAGED = frozenset({"users", "rate_per_minute", "seconds"})
"""What stages say, and a flag therefore cannot."""


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What holds where a flag does not say otherwise.

    Without a targets file nothing is judged but the error rate. ``metrics`` is where the service tells Prometheus its figures.
    """

    target: str = DEFAULT_TARGET
    slo: Path | None = None
    data_dir: Path = Path(".data")
    metrics: str = "none"


class Told(NamedTuple):
    """What the help says of the defaults, which are known only when a run begins."""

    target: str = DEFAULT_TARGET
    slo: str = "none: only failures are judged"
    data_dir: str = ".data"
    metrics: str = "none"


ALONE = Told()


def sending(told: Told) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what gives a command the flags that all share."""
    path = click.Path(path_type=Path)
    options = (
        click.option(
            "--target",
            metavar="URL",
            help=f"Where the service is, as http://host:port or https://host:port. [default: {told.target}]",
        ),
        click.option(
            "--slo", metavar="FILE", type=path, help=f"The targets to judge by (slo.toml). [default: {told.slo}]"
        ),
        click.option(
            "--data-dir",
            metavar="DIR",
            type=path,
            help=f"The run is kept in DIR/runs/ID. [default: {told.data_dir}]",
        ),
        click.option("--run-id", metavar="ID", help="Name of the run; made up if not given."),
        click.option(
            "--ca", metavar="FILE", type=path, help="Certificates to trust, for https. [default: the system's]"
        ),
        click.option(
            "--metrics",
            metavar="PATH",
            help=f"Where the service tells Prometheus its own figures: a path, a URL, or none. [default: {told.metrics}]",
        ),
        click.option("--seed", type=int, help="Another order of the requests; the same seed gives the same order."),
        click.option("--users", type=int, help="Another number of virtual users."),
        click.option("--connections", type=int, help="Another number of requests in flight, at most."),
        click.option("--processes", type=int, help="Another number of processes that send; each wants a core."),
        click.option(
            "--arrivals", type=click.Choice(("constant", "poisson")), help="Requests evenly spaced, or at random."
        ),
        click.option(
            "--traced",
            "sampled",
            metavar="SHARE",
            type=click.FloatRange(0, 1),
            help="Share of requests whose trace is to be kept.",
        ),
        click.option(
            "--set",
            "sets",
            metavar="FIELD=VALUE",
            multiple=True,
            help="Anything else the scenario says, as mix.login=50; more than once if wanted.",
        ),
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def changed(known: Scenario, flags: Mapping[str, Any]) -> Scenario:
    """Return the scenario as the flags change it; raise PlanError, naming the flag, for a change that cannot be."""
    given = {name: flags[name] for name in (*_MOST, *_OTHERS) if flags.get(name) is not None}
    sets = overridden(known, flags.get("sets") or ())
    if both := sorted(sets.keys() & given):
        raise PlanError(f"--set {both[0]} contradicts the flag that says it, too")
    plan = change_scenario(known, sets) if sets else known
    for name, (flag, most) in _MOST.items():
        if name in given:
            _check(plan, name, flag, given[name], most)
    return change_scenario(plan, given)


def ordered(plan: Scenario, base: Defaults, flags: Mapping[str, Any], *, samples: bool = False) -> Order:
    """Return what is to be run; raise LoadError or SloError when the flags do not allow it."""
    target = parse_target(flags["target"] or base.target)
    slo = flags["slo"] or base.slo
    return Order(
        scenario=plan,
        target=target,
        slo=load_slo(slo) if slo else Slo(),
        run=_run_id(flags["run_id"], plan.name),
        authority=flags["ca"],
        samples=samples,
        metrics=parse_source(flags["metrics"] or base.metrics, target),
    )


def folder_of(order: Order, base: Defaults, flags: Mapping[str, Any]) -> RunFolder:
    """Return where the run is kept."""
    return RunFolder(flags["data_dir"] or base.data_dir, order.run)


def _check(known: Scenario, name: str, flag: str, value: float, most: float) -> None:
    if math.isnan(value) or value <= 0:
        raise PlanError(f"{flag} must be above 0")
    if value > most:
        raise PlanError(f"{flag} must be {most:,} or less")
    if name in _STAGED and known.stage:
        raise PlanError(f"{flag} contradicts the stages of scenario {known.name}, which say it")
    if name == "rate_per_minute" and known.shape == "closed":
        raise PlanError(f"{flag} contradicts scenario {known.name}: it is closed, its users and their thinking decide")


def _run_id(given: str | None, scenario: str) -> str:
    if given is None:
        return new_run_id(scenario, time.time())
    if not RUN_ID.fullmatch(given):
        raise LoadError(f"--run-id {given!r} must be letters, digits and hyphens, 55 at most, beginning with no hyphen")
    return given
