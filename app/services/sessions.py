"""Whose session it is, and whether it still is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from app.errors import NotAuthenticated

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from app.security.tokens import Token
    from app.services.completion import Completion
    from app.services.ports import Clock, SessionStore, Stored
    from app.services.presence import Presence
    from app.values import Session, User


class SessionService:
    """Checks and ends sessions."""

    def __init__(self, sessions: SessionStore, completion: Completion, presence: Presence, clock: Clock) -> None:
        self._sessions = sessions
        self._presence = presence
        self._completion = completion
        self._clock = clock

    def check_at_once(self, token: Token, checked: Callable[[Session | None, Stored | None], None]) -> None:
        """Look for a valid session where that is quick, and call ``checked`` with it.

        It gets None when ``check`` has to decide, and what to hand to it.
        """

        def glanced(session: Session | None, stored: Stored | None) -> None:
            checked(session if self._is_valid(session, self._clock()) else None, stored)

        self._sessions.glance(token.digest, token.user_id, glanced)

    def me_at_once(self, token: Token, answered: Callable[[User | None, Stored | None], None]) -> None:
        """Look for the user behind a valid session where that is quick, likewise."""

        def glanced(session: Session | None, user: User | None, stored: Stored | None) -> None:
            answered(user if self._is_valid(session, self._clock()) else None, stored)

        self._sessions.glance_with_user(token.digest, token.user_id, glanced)

    async def check(self, token: Token, stored: Stored | None = None) -> Session:
        """Return the valid session behind a token, or raise NotAuthenticated."""
        return self._valid(await self._sessions.find(token.digest, token.user_id, stored))

    async def me(self, token: Token, stored: Stored | None = None) -> User:
        """Return the user behind a valid session, or raise NotAuthenticated."""
        session, user = await self._sessions.find_with_user(token.digest, token.user_id, stored)
        self._valid(session)
        if user is None:
            raise NotAuthenticated("the account of this session is gone")
        return user

    async def logout(self, token: Token) -> None:
        """End a valid session. Raises InvalidationPending when it is ended but caches could not be told."""
        try:
            await self.check(token)
        except NotAuthenticated:
            # Who tries again after InvalidationPending must not hear "no such session" while a cache still knows it.
            await self._sessions.forget(token.digest)
            raise
        await self._completion.run(self._sessions.end(token.digest, token.user_id))

    def _valid(self, session: Session | None) -> Session:
        if not self._is_valid(session, self._clock()):
            raise NotAuthenticated("there is no valid session behind this token")
        return session

    def _is_valid(self, session: Session | None, now: datetime) -> TypeGuard[Session]:
        """Say whether a session is valid; one that is was seen now."""
        if session is None or session.expires_at <= now:
            return False
        self._presence.note(session, now)
        return True
