"""Scenarios: named load plans in TOML, read strictly."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import msgspec

from loadgen.errors import PlanError
from loadgen.scenario import Scenario
from observability.model.faults import fault

_FOLDER = Path(__file__).parent / "scenarios"


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
        raise PlanError(f"scenario {scenario.name}: {fault(error, Scenario)}") from error


def _read(path: Path) -> Scenario:
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Scenario)
    except OSError as error:
        raise PlanError(f"cannot read scenario {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"scenario {path}: {error}") from error
    except msgspec.DecodeError as error:  # ValidationError is one
        raise PlanError(f"scenario {path}: {fault(error, Scenario)}") from error
