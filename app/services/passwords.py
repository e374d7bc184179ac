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
        shortest: int,
    ) -> None:
        self._sessions = sessions
        self._credentials = credentials
        self._mails = mails
        self._passwords = passwords
        self._completion = completion
        self._clock = clock
        self._rule = partial(rules.password, shortest=shortest)

    async def change(self, token: Token, current: str, new: str) -> None:
        """Replace the password of a session's user and end their other sessions.

        Raises NotAuthenticated, InvalidFields (also for a wrong current password), or an Unavailable.
        """
        session = await self._sessions.check(token)
        self._accept(new)
        old_hash = await self._credentials.hash_of(session.user_id)
        if old_hash is None:
            raise NotAuthenticated("the account of this session is gone")
        if not await self._passwords.verify(old_hash, current):
            raise _wrong()
        new_hash = await self._passwords.hash(new)
        change = self._credentials.change(session.user_id, old_hash, new_hash, token.digest, self._clock())
        if not await self._completion.run(change):
            raise _wrong()

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
        if digest is None or not await self._credentials.is_redeemable(digest, self._clock()):
            raise _spent()
        new_hash = await self._passwords.hash(new)
        if not await self._completion.run(self._credentials.reset(digest, new_hash, self._clock())):
            raise _spent()

    def _accept(self, new: str) -> None:
        verdicts = rules.Verdicts()
        verdicts.take("new_password", self._rule, new)
        verdicts.settle()


def _wrong() -> InvalidFields:
    return InvalidFields(FieldError("current_password", "is not the password of this account"))


def _spent() -> TokenRejected:
    return TokenRejected("this token is wrong, spent, expired or replaced by a newer one")
