"""Whether the service is well enough to be sent requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

State = Literal["starting", "serving", "draining"]


class Readiness(msgspec.Struct, frozen=True):
    """``status`` sums up; ``parts`` names each dependency and whether it answers, or may be asked when a replica."""

    status: Literal["ok", "degraded", "starting", "draining"]
    parts: dict[str, Literal["ok", "down"]] = {}


class HealthService:
    """Asks ``parts``, and ``spares`` that others stand in for when they are down: those are named and change nothing.

    It asks at most once every ``period`` seconds, however often it is asked itself.
    """

    def __init__(
        self,
        parts: Mapping[str, Callable[[], Awaitable[object]]],
        clock: Callable[[], float],
        *,
        spares: Mapping[str, Callable[[], Awaitable[object]]] | None = None,
        period: float = 1.0,
        patience: float = 1.0,
    ) -> None:
        self.state: State = "starting"
        self._needed = frozenset(parts)
        self._parts = {**parts, **(spares or {})}
        self._clock = clock
        self._period = period
        self._patience = patience
        self._asked_at = float("-inf")
        self._answers: dict[str, Literal["ok", "down"]] = {}
        self._asking = asyncio.Lock()

    async def readiness(self) -> Readiness:
        """Say how things are. Degraded is still worth sending requests to: what is cached is served."""
        if self.state != "serving":
            return Readiness(self.state)
        async with self._asking:
            if self._clock() - self._asked_at >= self._period:
                answers = await asyncio.gather(*map(self._answers_of, self._parts.values()))
                self._answers = dict(zip(self._parts, answers, strict=True))
                self._asked_at = self._clock()
        is_well = all(self._answers[name] == "ok" for name in self._needed)
        return Readiness("ok" if is_well else "degraded", self._answers)

    async def _answers_of(self, ask: Callable[[], Awaitable[object]]) -> Literal["ok", "down"]:
        try:
            async with asyncio.timeout(self._patience):
                await ask()
        except Exception:  # noqa: BLE001 - whatever it raises, it does not answer
            return "down"
        return "ok"
