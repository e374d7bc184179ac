"""Scenarios: named load plans in TOML, read strictly."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec

from loadgen.errors import PlanError
from loadgen.journeys import STEPS

_FOLDER = Path(__file__).parent / "scenarios"

MOST_USERS = 20_000
MOST_RATE = 6_000_000
MOST_SECONDS = 7 * 86_400

_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,23}$")]
_Users = Annotated[int, msgspec.Meta(ge=1, le=MOST_USERS)]
_Rate = Annotated[float, msgspec.Meta(gt=0, le=MOST_RATE)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=MOST_SECONDS)]
_Timeout = Annotated[float, msgspec.Meta(gt=0, le=30)]  # twice this must fit the histogram, which ends at 64 s
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Weight = Annotated[int, msgspec.Meta(ge=0, le=1000)]


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A load plan.

    ``users`` is how many virtual users there are and how many requests may be in flight; ``timeout_s`` is how many seconds a
    request may wait to be sent, and then again how many it may take; ``mix`` is each step's share of a block of requests.
    """

    name: _Name
    about: str = ""
    users: _Users
    rate_per_minute: _Rate
    seconds: _Seconds
    timeout_s: _Timeout = 10.0
    allowed_error_rate: _Share = 0.01
    seed: int = 1
    mix: dict[str, _Weight]

    def __post_init__(self) -> None:
        """Refuse what the types alone cannot."""
        if not all(map(math.isfinite, (self.rate_per_minute, self.seconds, self.timeout_s))):
            raise ValueError("rate_per_minute, seconds and timeout_s must be finite numbers")
        unknown = sorted(set(self.mix) - set(STEPS))
        if unknown:
            raise ValueError(f"mix: unknown step {unknown[0]!r}; the steps are {', '.join(STEPS)}")
        if not any(self.mix.values()):
            raise ValueError("mix: at least one step needs a share above 0")
        if self.mix.get("logout", 0) > self.mix.get("login", 0):
            raise ValueError("mix: logout may not exceed login, or the sessions to end would run out")

    @property
    def requests(self) -> int:
        """How many requests the plan sends."""
        return max(1, round(self.rate_per_minute * self.seconds / 60))

    @property
    def summary(self) -> str:
        """The plan in a few words, as "100 users, 1,000 req/min, 5 min"."""
        return f"{self.users:,} users, {self.rate_per_minute:,.10g} req/min, {_span(self.seconds)}"


def _span(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


@cache
def scenarios() -> tuple[Scenario, ...]:
    """Return the scenarios that come with the package, by name."""
    return tuple(_read(path) for path in sorted(_FOLDER.glob("*.toml")))


def load_scenario(name_or_path: str) -> Scenario:
    """Return a scenario by its name, or from a file when the text is a path ending in .toml; raise PlanError if it cannot be."""
    if name_or_path.endswith(".toml") or os.sep in name_or_path:
        return _read(Path(name_or_path))
    known = scenarios()
    for scenario in known:
        if scenario.name == name_or_path:
            return scenario
    names = ", ".join(scenario.name for scenario in known)
    raise PlanError(f"unknown scenario {name_or_path!r}; the known ones are {names}, or give the path of a .toml file")


def change_scenario(scenario: Scenario, changes: dict[str, object]) -> Scenario:
    """Return the scenario with some fields replaced, checked again; raise PlanError if they do not fit."""
    try:
        return msgspec.convert({**msgspec.to_builtins(scenario), **changes}, Scenario)
    except msgspec.ValidationError as error:
        raise PlanError(f"scenario {scenario.name}: {error}") from error


def _read(path: Path) -> Scenario:
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Scenario)
    except OSError as error:
        raise PlanError(f"cannot read scenario {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # ValidationError is a DecodeError
        raise PlanError(f"scenario {path}: {error}") from error
