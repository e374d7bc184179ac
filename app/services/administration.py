"""What an administrator does to other people's accounts from the command line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from app.errors import NotFound
from app.services import rules
from app.values import ADMIN

if TYPE_CHECKING:
    from app.services.completion import Completion
    from app.services.ports import Clock, PasswordHasher, UserAdministration

USER = "user"


class Administration:
    """Creates, promotes, demotes, disables and enables accounts. Addresses are taken as people write them."""

    def __init__(
        self,
        users: UserAdministration,
        passwords: PasswordHasher,
        completion: Completion,
        clock: Clock,
        *,
        rule: rules.PasswordRule,
    ) -> None:
        self._users = users
        self._passwords = passwords
        self._completion = completion
        self._clock = clock
        self._rule = rule

    async def create(self, email: str, password: str, *, admin: bool) -> str:
        """Open an account whose address counts as verified; return the address as it is kept.

        Raises InvalidFields, EmailTaken, or an Unavailable.
        """
        verdicts = rules.Verdicts()
        email = verdicts.take("email", rules.email, email)
        verdicts.take("password", partial(self._rule, email=email), password)
        verdicts.settle()
        password_hash = await self._passwords.hash(password)
        role = ADMIN if admin else USER
        await self._completion.run(self._users.add(email, password_hash, role, self._clock()))
        return email

    async def set_admin(self, email: str, *, admin: bool) -> str:
        """Make a user an administrator or an ordinary one; return the address. Raises NotFound."""
        email = _address(email)
        if not await self._completion.run(self._users.set_role(email, ADMIN if admin else USER)):
            raise _unknown(email)
        return email

    async def disable(self, email: str) -> int:
        """Keep a user out, at once and until enabled again; return how many sessions that ended. Raises NotFound."""
        email = _address(email)
        ended = await self._completion.run(self._users.disable(email, self._clock()))
        if ended is None:
            raise _unknown(email)
        return ended

    async def enable(self, email: str) -> str:
        """Let a user log in again; return the address. Raises NotFound."""
        email = _address(email)
        if not await self._completion.run(self._users.enable(email)):
            raise _unknown(email)
        return email


def _address(email: str) -> str:
    verdicts = rules.Verdicts()
    email = verdicts.take("email", rules.email, email)
    verdicts.settle()
    return email


def _unknown(email: str) -> NotFound:
    return NotFound(f"no user has the address {email}")
