"""How far the numbers of a load run may be changed from the console, whoever asks: the launcher goes by it, the console says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.errors import PlanError
from loadgen.plan import change_scenario, scenarios

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadgen.scenario import Scenario

MOST_USERS = 5_000
MOST_RATE_PER_MINUTE = 120_000.0
MOST_SECONDS = 3_600.0

_SEARCHED = "knee"
_FLAGS = {"users": "--users", "rate_per_minute": "--rate", "seconds": "--duration", "seed": "--seed"}
_NAMES = {"users": "Users", "rate_per_minute": "Requests a minute", "seconds": "Seconds"}


def offered() -> list[Scenario]:
    """Return the scenarios that may be run from the console: all but the one that a search of its own command changes as it goes."""
    return [known for known in scenarios() if known.name != _SEARCHED]


def most_of(scenario: Scenario) -> dict[str, float]:
    """Return the most that each number of a scenario may be set to; stages leave none to be set, a closed one no rate."""
    if scenario.stage:
        return {}
    most = {"users": float(MOST_USERS), "seconds": MOST_SECONDS}
    return most if scenario.shape == "closed" else {**most, "rate_per_minute": MOST_RATE_PER_MINUTE}


def flags_for(name: str, changes: Mapping[str, Any]) -> list[str]:
    """Return the flags of `gatewatch load` for a known scenario with some numbers changed; raise ValueError, one sentence, for others."""
    scenario = next((known for known in offered() if known.name == name), None)
    if scenario is None:
        raise ValueError(
            f"There is no scenario of that name; there are {', '.join(known.name for known in offered())}."
        )
    given = {field: value for field, value in changes.items() if value is not None}
    most = most_of(scenario)
    for field, value in given.items():
        if field not in _FLAGS or type(value) not in (int, float):
            raise ValueError("A run's users, rate, seconds and seed can be changed, and each is a number.")
        if field != "seed" and field not in most:
            raise ValueError(f"{_NAMES[field]} of {name} cannot be changed: its plan says them otherwise.")
        if field != "seed" and not 0 < value <= most[field]:
            raise ValueError(f"{_NAMES[field]} must be above 0 and at most {most[field]:,.10g}.")
    try:
        change_scenario(scenario, given)
    except PlanError as error:
        raise ValueError(f"That does not make a plan: {error}.") from None
    return [
        f"{_FLAGS[field]}={value:.10g}" if isinstance(value, float) else f"{_FLAGS[field]}={value}"
        for field, value in given.items()
    ]
