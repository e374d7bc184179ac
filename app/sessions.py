"""Where the parts around sessions meet: reading and ending them, lists, last sight, sweeps."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from app.errors import GatewatchError
from app.repositories.aside import Family
from app.repositories.devices import Devices
from app.repositories.sessions import Sessions
from app.repositories.sweeps import Sweeps
from app.repositories.users import Users
from app.services.devices import DeviceService
from app.services.directory import DirectoryService
from app.services.housekeeping import SWEEP_SECONDS, Housekeeping
from app.services.presence import GRAIN, Presence
from app.services.sessions import SessionService
from app.values import Session, User

if TYPE_CHECKING:
    from app.repositories.aside import CacheAside
    from app.repositories.invalidations import Invalidations
    from app.services.completion import Completion
    from app.services.ports import Clock
    from app.settings import Settings
    from app.storage.database import Database
    from observability.record.recorder import Recorder


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What a worker needs to keep sessions."""

    store: Sessions
    checks: SessionService
    devices: DeviceService
    directory: DirectoryService
    presence: Presence
    housekeeping: Housekeeping
    session: Family
    profile: Family

    @classmethod
    def build(
        cls,
        settings: Settings,
        database: Database,
        aside: CacheAside,
        invalidations: Invalidations,
        completion: Completion,
        recorder: Recorder,
        clock: Clock,
    ) -> Self:
        """Put them together; nothing runs yet."""
        # What was seen within a grain is not written, so an idle session is over a grain later: never too early.
        idle = timedelta(seconds=settings.session_idle) + GRAIN
        session = Family(Session, lambda session: _seconds_left(session, clock), recorder.cache("session"))
        session.on, session.most_seconds = settings.cache_session, settings.cache_session_ttl
        profile = Family(User, lambda _: math.inf, recorder.cache("profile"))
        profile.on, profile.most_seconds = settings.cache_profile, settings.cache_profile_ttl
        store = Sessions(database, aside, invalidations, session=session, user=profile, idle=idle)
        devices = Devices(database, invalidations, idle=idle)
        presence = Presence(devices, clock)
        checks = SessionService(store, completion, presence, clock)
        return cls(
            store,
            checks,
            DeviceService(checks, devices, completion, clock),
            DirectoryService(checks, Users(database, invalidations)),
            presence,
            Housekeeping(presence, Sweeps(database), clock, idle=idle),
            session,
            profile,
        )

    def keep(self) -> asyncio.Task[None]:
        """Start housekeeping; its first sweep comes at a random moment, so that workers take turns."""
        first = random.uniform(0, SWEEP_SECONDS)  # noqa: S311 - not a secret
        return asyncio.get_running_loop().create_task(self.housekeeping.run(first))

    async def close(self) -> None:
        """Write who was seen last, if the stores answer within a second."""
        with contextlib.suppress(GatewatchError, TimeoutError):
            async with asyncio.timeout(1):
                await self.presence.write()


def _seconds_left(session: Session, clock: Clock) -> float:
    return (session.expires_at - clock()).total_seconds()
