"""Proving that an address is its owner's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import CredentialsRejected, EmailNotVerified, TokenRejected
from app.security.mail_tokens import digest_of
from app.services import rules

if TYPE_CHECKING:
    from app.services.completion import Completion
    from app.services.ports import Clock, MailQueue, VerificationStore


class VerificationService:
    """Verifies addresses by tokens sent to them."""

    def __init__(self, store: VerificationStore, mails: MailQueue, completion: Completion, clock: Clock) -> None:
        self._store = store
        self._mails = mails
        self._completion = completion
        self._clock = clock

    async def verify(self, token: str) -> None:
        """Spend a token. Raises TokenRejected, or InvalidationPending when it is done but caches could not be told."""
        digest = digest_of(token)
        if digest is None or not await self._completion.run(self._store.verify(digest, self._clock())):
            raise TokenRejected("this token is wrong, spent, expired or replaced by a newer one")

    async def resend(self, email: str) -> None:
        """Ask for another mail. The same is done and said whether the address has an account or not."""
        address = rules.required_email(email)
        await self._completion.run(self._mails.ask("verify", address, self._clock()))


class EmailGate:
    """Decides at login whether the address has to be verified, and at registration whether a taken one is concealed.

    Concealing needs verification: who could log in to a fresh account at once would learn from a failure that the
    address was taken. For the same reason the refusal is then that of a wrong password.
    """

    def __init__(self, store: VerificationStore, *, required: bool, conceals: bool) -> None:
        self.conceals = conceals
        self._store = store
        self._required = required or conceals

    async def admit(self, email: str) -> None:
        """Let in who proved to know the password. Raises EmailNotVerified, or CredentialsRejected where it tells less."""
        if not self._required or await self._store.is_verified(email):
            return
        if self.conceals:
            raise CredentialsRejected("email and password do not match an account")
        raise EmailNotVerified("verify your email address first; ask for another mail if you have none")
