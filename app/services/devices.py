"""The list of a person's sessions, and ending those that are lost or forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import NotFound
from app.listings import Device, DevicePage

if TYPE_CHECKING:
    from uuid import UUID

    from app.listings import DeviceRow, Page
    from app.security.tokens import Token
    from app.services.completion import Completion
    from app.services.ports import Clock, DeviceStore
    from app.services.sessions import SessionService


class DeviceService:
    """Shows a person where they are logged in, and logs them out there."""

    def __init__(self, sessions: SessionService, devices: DeviceStore, completion: Completion, clock: Clock) -> None:
        self._sessions = sessions
        self._devices = devices
        self._completion = completion
        self._clock = clock

    async def page(self, token: Token, page: Page) -> DevicePage:
        """Return one page of the valid sessions of the caller, oldest first. Raises NotAuthenticated."""
        session = await self._sessions.check(token)
        rows, next_cursor = page.cut(await self._devices.of_user(session.user_id, page.one_more, self._clock()))
        return DevicePage(tuple(_device(row, session.id) for row in rows), next_cursor)

    async def revoke(self, token: Token, session_id: UUID | None) -> None:
        """End one of the caller's sessions for good.

        Raises NotAuthenticated, NotFound when the caller has no such session, or InvalidationPending when it is ended
        but caches could not be told.
        """
        session = await self._sessions.check(token)
        if session_id is None or not await self._completion.run(self._devices.end_one(session_id, session.user_id)):
            raise NotFound("you have no session with this id")

    async def revoke_others(self, token: Token) -> None:
        """End every session of the caller but the one that asks. Raises NotAuthenticated or InvalidationPending."""
        session = await self._sessions.check(token)
        await self._completion.run(self._devices.end_others(session.user_id, session.id))


def _device(row: DeviceRow, current: UUID) -> Device:
    return Device(
        id=row.id,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        expires_at=row.expires_at,
        address=row.origin.address,
        client=row.origin.client,
        current=row.id == current,
    )
