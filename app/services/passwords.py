"""Replacing a password: by who knows the old one, or by who reads the mailbox."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from app.errors import FieldError, InvalidFields, NotAuthenticated, TokenRejected
from app.security.mail_tokens import digest_of
from app.services import rules

if TYPE_CHECKING:
    from app.security.tokens import Token
    from app.services.completion import Completion
    from app.services.ports import Clock, CredentialStore, MailQueue, PasswordHasher
    from app.services.sessions import SessionService


class PasswordService:
    """Changes and resets passwords. Either ends sessions, and tells the owner by mail."""

    def __init__(
        self,
        sessions: SessionService,
        credentials: CredentialStore,
        mails: MailQueue,
        passwords: PasswordHasher,
        completion: Completion,
        clock: Clock,
        *,
        rule: rules.PasswordRule,
    ) -> None:
        self._sessions = sessions
        self._credentials = credentials
        self._mails = mails
        self._passwords = passwords
        self._completion = completion
        self._clock = clock
        self._rule = rule

    async def change(self, token: Token, current: str, new: str) -> None:
        """Replace the password of a session's user and end their other sessions.

        Raises NotAuthenticated, InvalidFields (also for a wrong current password), or an Unavailable.
        """
        session = await self._sessions.check(token)
        self._accept(new)
        for _ in range(_ATTEMPTS):
            owned = await self._credentials.of_user(session.user_id)
            if owned is None:
                raise NotAuthenticated("the account of this session is gone")
            self._accept(new, owned.email)
            if not await self._passwords.verify(owned.password_hash, current):
                break
            new_hash = await self._passwords.hash(new)
            change = self._credentials.change(
                session.user_id, owned.password_hash, new_hash, token.digest, self._clock()
            )
            if await self._completion.run(change):
                return
        raise InvalidFields(FieldError("current_password", "is not the password of this account"))

    async def forgot(self, email: str) -> None:
        """Ask for a mail with a reset token. The same is done and said whether the address has an account or not."""
        address = rules.required_email(email)
        await self._completion.run(self._mails.ask("reset", address, self._clock()))

    async def reset(self, token: str, new: str) -> None:
        """Spend a token, replace its owner's password and end all their sessions.

        Raises TokenRejected, InvalidFields, or an Unavailable.
        """
        self._accept(new)
        digest = digest_of(token)
        # Looked up before the slow hashing: a stranger's made-up tokens must not fill its queue.
        email = await self._credentials.redeemable_by(digest, self._clock()) if digest else None
        if digest is None or email is None:
            raise _spent()
        self._accept(new, email)
        new_hash = await self._passwords.hash(new)
        if not await self._completion.run(self._credentials.reset(digest, new_hash, self._clock())):
            raise _spent()

    def _accept(self, new: str, email: str = "") -> None:
        verdicts = rules.Verdicts()
        verdicts.take("new_password", partial(self._rule, email=email), new)
        verdicts.settle()


_ATTEMPTS = 2
"""The hash that was verified may be replaced before it is changed: by a login, with one of the same password."""


def _spent() -> TokenRejected:
    return TokenRejected("this token is wrong, spent, expired or replaced by a newer one")
