"""Registration and login."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from app.errors import CredentialsRejected
from app.listings import UNKNOWN_ORIGIN, Origin
from app.security import tokens
from app.services import rules
from app.values import Login, User

if TYPE_CHECKING:
    from app.services.completion import Completion
    from app.services.ports import AccountStore, Clock, PasswordHasher, SessionStore
    from app.services.verification import EmailGate
    from app.values import Account


class AccountService:
    """Opens accounts and lets their owners in."""

    def __init__(
        self,
        accounts: AccountStore,
        sessions: SessionStore,
        passwords: PasswordHasher,
        completion: Completion,
        clock: Clock,
        *,
        gate: EmailGate,
        rule: rules.PasswordRule,
        session_lifetime: float,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._passwords = passwords
        self._completion = completion
        self._clock = clock
        self._gate = gate
        self._session_lifetime = timedelta(seconds=session_lifetime)
        self._rule = rule

    async def register(self, email: str, password: str, name: str | None) -> User:
        """Open an account. Raises InvalidFields, EmailTaken (unless that is concealed), or an Unavailable."""
        verdicts = rules.Verdicts()
        email = verdicts.take("email", rules.email, email)
        verdicts.take("password", partial(self._rule, email=email), password)
        if name is not None:
            name = verdicts.take("name", rules.name, name)
        verdicts.settle()
        password_hash = await self._passwords.hash(password)
        return await self._completion.run(
            self._accounts.create(email, password_hash, name, self._clock(), conceal=self._gate.conceals)
        )

    async def login(self, email: str, password: str, origin: Origin = UNKNOWN_ORIGIN) -> Login:
        """Open a session. Raises CredentialsRejected, EmailNotVerified, or an Unavailable."""
        address = _comparable(email)
        for _ in range(_ATTEMPTS):
            account = await self._accounts.by_email(address)
            matches = await self._passwords.verify(account.password_hash if account else None, password)
            if account is None or not matches or account.disabled:
                break
            await self._gate.admit(account.user.email)
            text, token = tokens.issue(account.user.id)
            now = self._clock()
            expires_at = now + self._session_lifetime
            session_id = await self._completion.run(
                self._sessions.open(token.user_id, token.digest, now, expires_at, origin, account.password_hash)
            )
            if session_id is not None:
                if self._passwords.outdated(account.password_hash):
                    self._completion.start(self._upgrade(account, password))
                return Login(text, expires_at, session_id, account.user)
        raise CredentialsRejected("email and password do not match an account")

    async def _upgrade(self, account: Account, password: str) -> None:
        """Hash a password anew, as new ones are. When that fails, the next login tries again."""
        new_hash = await self._passwords.hash(password)
        await self._accounts.upgrade(account.user.id, account.password_hash, new_hash)


_ATTEMPTS = 2
"""The hash that was verified may be replaced before the session is open: by another login, with one of the same password."""


def _comparable(email: str) -> str:
    """Spell an address as registration does; what is no address cannot be anybody's, and is looked up all the same."""
    try:
        return rules.email(email)
    except ValueError:
        return ""
