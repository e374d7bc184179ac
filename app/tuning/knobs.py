"""The settings that can be changed while a worker serves: how each is read, checked, and put in force in this worker."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from app.settings import cores
from console.tuning import LiveSetting, SettingRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.repositories.aside import Family
    from app.server import Parts
    from app.settings import Settings
    from observability.record.recorder import Recorder

DAY = 86400.0
YEAR = 365 * DAY


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting: what is said of it, how the value in force is read, and how another one is put in force."""

    setting: LiveSetting
    read: Callable[[], str]
    put: Callable[[str], None]

    def now(self) -> LiveSetting:
        """Return the setting as it is in force."""
        return msgspec.structs.replace(self.setting, value=self.read())

    def checked(self, text: str) -> str:
        """Return a value as it is written; raise SettingRefused for one that cannot be."""
        setting = self.setting
        if setting.kind == "switch":
            if text.strip().lower() not in {"on", "off"}:
                raise SettingRefused(f"{setting.label} must be on or off.")
            return text.strip().lower()
        whole = setting.kind == "integer"
        least, most = setting.least or 0.0, setting.most or math.inf
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            what = "a whole number" if whole else "a number"
            unit = f" {setting.unit}" if setting.unit else ""
            raise SettingRefused(f"{setting.label} must be {what} from {least:.10g} to {most:.10g}{unit}.")
        return written(value)


def written(value: float) -> str:
    """Write a number as in the environment."""
    return f"{value:.10g}"


def knobs(settings: Settings, parts: Parts, recorder: Recorder) -> tuple[Knob, ...]:
    """Return every knob of a worker."""
    return (
        *_pool(settings, parts),
        *_family("session", "Sessions", YEAR, parts.sessions.session),
        *_family("profile", "Profiles", DAY, parts.sessions.profile),
        *_family("verified", "Verified addresses", DAY, parts.mail.verified),
        _coalescing(parts),
        _hashing(parts),
        _sampling(recorder),
    )


def _pool(settings: Settings, parts: Parts) -> tuple[Knob, Knob]:
    pool, workers = parts.database.pool, settings.workers
    in_force = settings.pool_size

    def resize(text: str) -> None:
        nonlocal in_force
        in_force = int(text)
        pool.resize(max(1, in_force // workers))

    def wait(text: str) -> None:
        pool.max_wait = float(text)

    size = _knob(
        lambda: str(in_force),
        resize,
        name="pool_size",
        label="Pool size",
        about="PostgreSQL connections of an instance, divided among its workers (one each at least).",
        group="Database",
        kind="integer",
        least=1,
        most=settings.most_pool_size_of_worker * workers,
        unit="connections",
        variable="GATEWATCH_POOL_SIZE",
        scope="instance",
    )
    patience = _knob(
        lambda: written(pool.max_wait),
        wait,
        name="pool_max_wait",
        label="Pool wait",
        about="How long a request may wait for a connection; then it is answered 503.",
        group="Database",
        kind="seconds",
        least=0.01,
        most=60,
        unit="s",
        variable="GATEWATCH_POOL_MAX_WAIT",
    )
    return size, patience


def _family(name: str, label: str, most: float, family: Family) -> tuple[Knob, Knob]:
    def turn(text: str) -> None:
        family.on = text == "on"

    def limit(text: str) -> None:
        family.most_seconds = float(text)

    variable = f"GATEWATCH_CACHE_{name.upper()}"
    switch = _knob(
        lambda: _on_or_off(family.on),
        turn,
        name=f"cache_{name}",
        label=f"{label} cached",
        about="Off, each request asks PostgreSQL; what is changed meanwhile is still deleted from the cache.",
        group="Cache",
        kind="switch",
        variable=variable,
    )
    ttl = _knob(
        lambda: written(family.most_seconds),
        limit,
        name=f"cache_{name}_ttl",
        label=f"{label}: time to live",
        about="How long one is cached at most; holds for what is cached from now on.",
        group="Cache",
        kind="seconds",
        least=1,
        most=most,
        unit="s",
        variable=f"{variable}_TTL",
    )
    return switch, ttl


def _coalescing(parts: Parts) -> Knob:
    def turn(text: str) -> None:
        parts.aside.coalescing = text == "on"

    return _knob(
        lambda: _on_or_off(parts.aside.coalescing),
        turn,
        name="coalescing",
        label="Coalescing",
        about="Concurrent misses of the same thing in a worker share one load. Off, each loads for itself.",
        group="Cache",
        kind="switch",
        variable="GATEWATCH_COALESCING",
    )


def _hashing(parts: Parts) -> Knob:
    hashing = parts.passwords.hashing
    return _knob(
        lambda: str(hashing.threads),
        lambda text: hashing.resize(int(text)),
        name="hash_threads",
        label="Hashing threads",
        about="Password hashes that a worker makes at the same time.",
        group="Passwords",
        kind="integer",
        least=1,
        most=min(64, max(8, 2 * cores(), hashing.threads)),
        unit="threads",
        variable="GATEWATCH_HASH_THREADS",
    )


def _sampling(recorder: Recorder) -> Knob:
    def sample(text: str) -> None:
        recorder.sampling = msgspec.structs.replace(recorder.sampling, ratio=float(text))

    return _knob(
        lambda: written(recorder.sampling.ratio),
        sample,
        name="sampling",
        label="Sampling",
        about="The share of requests whose trace is kept by chance, besides those that are slow or fail. For good, name OTEL_TRACES_SAMPLER=parentbased_traceidratio, too.",
        group="Telemetry",
        kind="share",
        least=0,
        most=1,
        variable="OTEL_TRACES_SAMPLER_ARG",
    )


def _knob(read: Callable[[], str], put: Callable[[str], None], **about: Any) -> Knob:
    value = read()
    missing = {"least": None, "most": None, "unit": ""}
    return Knob(LiveSetting(**{**missing, **about, "value": value, "starts_as": value}), read, put)


def _on_or_off(value: bool) -> str:  # noqa: FBT001 - it is what is written
    return "on" if value else "off"
