"""What the console needs to tune this service: put together once a worker, beside its parts."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from app.storage.overrides import Overrides
from app.tuning.in_force import settings_in_force
from app.tuning.knobs import knobs
from app.tuning.live import Live
from app.tuning.names import GIVEN, RUN
from app.tuning.plans import DatabasePlans
from app.tuning.trial_files import TrialFiles
from app.tuning.trials import ServiceTrials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio import Redis

    from app.server import Parts
    from app.settings import Settings
    from console.ports import LoadControl
    from observability.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a worker hands to the console."""

    live: Live
    plans: DatabasePlans
    trials: ServiceTrials

    @classmethod
    async def open(
        cls,
        settings: Settings,
        parts: Parts,
        telemetry: Telemetry,
        redis: Redis,
        load: LoadControl,
        environment: Mapping[str, str],
    ) -> Self:
        """Put what the fleet has changed in force in this worker, and follow it from now on."""
        known = knobs(settings, parts, telemetry.recorder)
        given = environment[GIVEN].split(",") if GIVEN in environment else environment
        in_force = settings_in_force(environment, given, {knob.setting.variable for knob in known})
        overrides = Overrides(redis, environment.get(RUN) or secrets.token_hex(8))
        live = Live(known, overrides, in_force, telemetry.feed.note)
        await live.start()
        trials = ServiceTrials(TrialFiles(settings.data_dir), load, live, telemetry.feed)
        return cls(live, DatabasePlans(settings.database_url or ""), trials)

    async def close(self) -> None:
        """Stop following."""
        await self.trials.close()
        await self.live.stop()
