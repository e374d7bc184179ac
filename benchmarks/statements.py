"""What requests ask of PostgreSQL: each statement with values of one made-up user, and the guide's target for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from app.listings import FIRST_ID
from app.repositories import accounts, credentials, devices, email_tokens, outbox, sessions, users
from app.repositories.ids import new_id
from app.repositories.seeding import PASSWORD_HASH, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from app.storage.database import Statement

SESSIONS_EACH = 3
LIFETIME, IDLE = timedelta(days=30), timedelta(days=14)

NEW_HASH = PASSWORD_HASH[:-1] + "t"
"""As long as those that are there, for a narrower row would find room where the service's find none."""

EMAIL_TOKENS = """
    INSERT INTO email_tokens (id, user_id, purpose, token_hash, expires_at)
    SELECT gen_random_uuid(), id, purpose, sha256((id::text || purpose)::bytea), now() + interval '1 day'
    FROM users, (VALUES ('verify'), ('reset')) AS purposes (purpose)
"""
"""Seeding makes none; here every user has one of each purpose, far more than are alive in any service."""


@dataclass(frozen=True, slots=True)
class Person:
    """A seeded user with a session."""

    id: UUID
    email: str
    session_id: UUID
    digest: bytes
    address: str
    client: str

    def secret_of(self, purpose: str) -> bytes:
        """Return the hash of the user's mailed token, as EMAIL_TOKENS makes it."""
        return sha256(f"{self.id}{purpose}".encode()).digest()


def people(recipe: Recipe, numbers: Sequence[int]) -> list[Person]:
    """Return seeded users by their numbers, each with the first of the sessions."""
    found = []
    for number in numbers:
        made, _, opened = recipe.rows([(number, SESSIONS_EACH)])
        user = dict(zip(made.columns, made.records[0], strict=True))
        session = dict(zip(opened.columns, opened.records[0], strict=True))
        found.append(
            Person(
                user["id"], user["email"], session["id"], session["token_hash"], session["address"], session["client"]
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Case:
    """A statement and how to get its values. ``target`` is the guide's, in milliseconds, None where it has none."""

    statement: Statement
    values: Callable[[Person], tuple[Any, ...]]
    target: float | None = None
    writes: bool = True


def cases() -> list[Case]:
    """Return every statement that a request runs, reads first."""
    now = datetime.now(UTC)
    cold = now - IDLE

    def fields() -> list[object]:
        return [True, "x", *([False, None] * 4)]

    reads = [
        Case(accounts.BY_EMAIL, lambda who: (who.email,), 10),
        Case(sessions.BY_TOKEN, lambda who: (who.digest, who.id), 5),
        Case(sessions.WITH_USER, lambda who: (who.digest, who.id), 5),
        Case(sessions.USER, lambda who: (who.id,), 10),
        Case(devices.OF_USER, lambda who: (who.id, FIRST_ID, now, cold, 20), 15),
        Case(users.AFTER, lambda who: (who.id, 20)),
        Case(email_tokens.VERIFIED, lambda who: (who.email,), 10),
        Case(credentials.HASH, lambda who: (who.id,)),
        Case(credentials.REDEEMABLE_NOW, lambda who: (who.secret_of("reset"), now)),
    ]
    writes = [
        Case(accounts.CREATE, lambda _: (new := new_id(), f"{new}@example.org", NEW_HASH, now, None, new_id(), False)),
        Case(
            sessions.OPEN,
            lambda who: (
                *(new := new_id(), who.id, sha256(new.bytes).digest(), now, now + LIFETIME),
                *(who.address, who.client, PASSWORD_HASH),
            ),
        ),
        Case(sessions.END, lambda who: (who.digest, new_id(), ["x"], who.id)),
        Case(accounts.CHANGE_PROFILE, lambda who: (who.id, new_id(), ["x"], *fields(), now)),
        Case(devices.END_ONE, lambda who: (new_id(), who.session_id, who.id)),
        Case(devices.END_OTHERS, lambda who: (new_id(), who.id, who.session_id)),
        Case(email_tokens.VERIFY, lambda who: (who.secret_of("verify"), now, new_id())),
        Case(
            credentials.CHANGE,
            lambda who: (who.id, PASSWORD_HASH, NEW_HASH, who.digest, new_id(), new_id(), now),
        ),
        Case(credentials.RESET, lambda who: (who.secret_of("reset"), now, NEW_HASH, new_id(), new_id())),
        Case(credentials.END_LATECOMERS, lambda who: (who.id, who.digest, new_id())),
        Case(outbox.ASK, lambda who: (new_id(), who.email.replace(".invalid", ".org"), "verify", now)),
        Case(accounts.UPGRADE, lambda who: (who.id, PASSWORD_HASH, NEW_HASH)),
        Case(devices.TOUCH, lambda who: ([who.session_id], [now], cold, now)),
    ]
    return [Case(case.statement, case.values, case.target, writes=False) for case in reads] + writes
