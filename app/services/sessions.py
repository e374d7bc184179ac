"""Whose session it is, and whether it still is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import NotAuthenticated

if TYPE_CHECKING:
    from app.security.tokens import Token
    from app.services.completion import Completion
    from app.services.ports import Clock, SessionStore
    from app.services.presence import Presence
    from app.values import Session, User


class SessionService:
    """Checks and ends sessions."""

    def __init__(self, sessions: SessionStore, completion: Completion, presence: Presence, clock: Clock) -> None:
        self._sessions = sessions
        self._presence = presence
        self._completion = completion
        self._clock = clock

    async def check(self, token: Token) -> Session:
        """Return the valid session behind a token, or raise NotAuthenticated."""
        return self._valid(await self._sessions.find(token.digest, token.user_id))

    async def me(self, token: Token) -> User:
        """Return the user behind a valid session, or raise NotAuthenticated."""
        session, user = await self._sessions.find_with_user(token.digest, token.user_id)
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
        await self._completion.run(self._sessions.end(token.digest))

    def _valid(self, session: Session | None) -> Session:
        now = self._clock()
        if session is None or session.expires_at <= now:
            raise NotAuthenticated("there is no valid session behind this token")
        self._presence.note(session, now)
        return session
