"""The settings that take a restart to change, as they may be shown: where each comes from, and no secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.settings import FIELDS
from console.tuning import SettingInForce

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_SECRET = ("TOKEN", "SECRET", "_URL", "_URLS", "HEADERS", "KEY", "ENDPOINT")
"""Parts of names whose values may hold a secret: URLs carry passwords."""


def settings_in_force(
    environment: Mapping[str, str], given: Collection[str], live: Collection[str]
) -> tuple[SettingInForce, ...]:
    """Return all settings but those that are ``live``; ``given`` are the variables that somebody set, and not the launcher."""
    ours = [
        _setting(field.name, environment.get(field.name, "").strip(), field.default, field.says, given)
        for field in FIELDS
        if field.name not in live
    ]
    standard = [
        _setting(name, environment[name].strip(), "", "OpenTelemetry's standard variable.", given)
        for name in sorted(environment)
        if name.startswith("OTEL_") and name not in live
    ]
    return (*ours, *standard)


def _setting(name: str, text: str, default: str, says: str, given: Collection[str]) -> SettingInForce:
    from_environment = bool(text) and name in given
    value = text if from_environment else default
    if (any(part in name for part in _SECRET) or name.endswith("PASSWORD")) and name != "GATEWATCH_PUBLIC_URL":
        value = "set" if text else "not set"
    return SettingInForce(name, value, "environment" if from_environment else "default", says)
