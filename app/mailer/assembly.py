"""Where the parts around mail meet: verification, passwords, the sender."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from app.mailer.letters import Letters
from app.mailer.post import FolderPost, SmtpPost
from app.mailer.sender import Pace, Sender
from app.repositories.aside import Family
from app.repositories.credentials import Credentials
from app.repositories.email_tokens import EmailTokens, Verification
from app.repositories.outbox import Outbox
from app.security.limits import Limit
from app.security.mail_tokens import MailTokens
from app.services.passwords import PasswordService
from app.services.verification import EmailGate, VerificationService
from app.storage.leader import Leader

if TYPE_CHECKING:
    from app.repositories.aside import CacheAside
    from app.repositories.invalidations import Invalidations
    from app.services.completion import Completion
    from app.services.ports import Clock, CredentialStore, PasswordHasher
    from app.services.rules import PasswordRule
    from app.services.sessions import SessionService
    from app.settings import Settings
    from app.storage.database import Database
    from observability.record.recorder import Recorder

LOCK = 0x676174656D61696C
"""The key under which senders are one: "gatemail" in ASCII."""

LAST_STATEMENT = 2.0
"""Seconds that a sender told to stop has to note what it sent."""


@dataclass(frozen=True, slots=True)
class MailParts:
    """What a worker needs for mail; the sender is at work."""

    gate: EmailGate
    verification: VerificationService
    sender: Sender
    verified: Family
    _mails: Outbox
    _credentials: CredentialStore
    _completion: Completion
    _clock: Clock

    @classmethod
    def build(
        cls,
        settings: Settings,
        database: Database,
        aside: CacheAside,
        invalidations: Invalidations,
        completion: Completion,
        recorder: Recorder,
        clock: Clock,
    ) -> Self:
        """Put them together and start the sender."""
        verified = Family(Verification, lambda _: math.inf, recorder.cache("verified"))
        verified.on, verified.most_seconds = settings.cache_verified, settings.cache_verified_ttl
        store = EmailTokens(database, aside, invalidations, verification=verified)
        mails = Outbox(database)
        sender = make_sender(settings, clock)
        sender.start()
        return cls(
            EmailGate(store, required=settings.require_verified_email, conceals=settings.conceal_accounts),
            VerificationService(store, mails, completion, clock),
            sender,
            verified,
            mails,
            Credentials(database, invalidations),
            completion,
            clock,
        )

    def passwords(self, sessions: SessionService, hasher: PasswordHasher, rule: PasswordRule) -> PasswordService:
        """Make the service that replaces passwords."""
        return PasswordService(
            sessions, self._credentials, self._mails, hasher, self._completion, self._clock, rule=rule
        )

    async def close(self) -> None:
        """Stop the sender and let another instance's lead."""
        await self.sender.stop(LAST_STATEMENT)


def make_sender(settings: Settings, clock: Clock, pace: Pace | None = None) -> Sender:
    """Make a sender. DATABASE_URL and GATEWATCH_SECRET must be set: the launcher sees to that."""
    url, secret = settings.database_url, settings.secret
    if url is None or secret is None:
        raise ValueError("a worker is always given its DATABASE_URL and GATEWATCH_SECRET")
    return Sender(
        lambda: Leader.elect(url, LOCK),
        SmtpPost.at(settings.smtp_url) if settings.smtp_url else FolderPost(settings.data_dir / "mail"),
        Letters(public_url=settings.link_base, sender=settings.mail_from),
        MailTokens(secret),
        lifetimes={"verify": settings.verify_lifetime, "reset": settings.reset_lifetime},
        notices=Limit(*settings.limit_mails_to_address),
        clock=clock,
        pace=pace or Pace(),
    )
