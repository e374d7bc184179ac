"""Changing what a person says of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import NotAuthenticated
from app.services import rules

if TYPE_CHECKING:
    from app.security.tokens import Token
    from app.services.completion import Completion
    from app.services.ports import AccountStore, Clock
    from app.services.sessions import SessionService
    from app.values import Profile, ProfileChange


class ProfileService:
    """Updates profiles."""

    def __init__(self, sessions: SessionService, accounts: AccountStore, completion: Completion, clock: Clock) -> None:
        self._sessions = sessions
        self._accounts = accounts
        self._completion = completion
        self._clock = clock

    async def update(self, token: Token, change: ProfileChange) -> Profile:
        """Change the profile of a session's user and return it whole.

        Raises NotAuthenticated, InvalidFields, or InvalidationPending when the change stands but caches could not be
        told.
        """
        session = await self._sessions.check(token)
        checked = rules.profile_change(change)
        profile = await self._completion.run(self._accounts.change_profile(session.user_id, checked, self._clock()))
        if profile is None:
            raise NotAuthenticated("the account of this session is gone")
        return profile
