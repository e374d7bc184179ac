"""All users, for those who may see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import Forbidden
from app.listings import UserPage
from app.values import ADMIN

if TYPE_CHECKING:
    from app.listings import Page
    from app.security.tokens import Token
    from app.services.ports import UserDirectory
    from app.services.sessions import SessionService


class DirectoryService:
    """Lists users for administrators."""

    def __init__(self, sessions: SessionService, users: UserDirectory) -> None:
        self._sessions = sessions
        self._users = users

    async def page(self, token: Token, page: Page) -> UserPage:
        """Return one page of all users, oldest first. Raises NotAuthenticated, or Forbidden for who is no administrator."""
        caller = await self._sessions.me(token)
        if caller.role != ADMIN:
            raise Forbidden("only administrators may list users")
        users, next_cursor = page.cut(await self._users.after(page.one_more))
        return UserPage(tuple(users), next_cursor)
