"""Mails to be sent, and the tokens that some of them carry.

A row says to whom and of which kind, and nothing secret. Whoever asks for a mail writes the same row whether the address
has an account or not; only the sender looks, so that no answer can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from app.repositories.ids import new_id
from app.storage.database import Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

ASK = Statement(
    "mail_ask",
    """
    INSERT INTO outbox (id, recipient, kind, attempts, due_at)
    SELECT $1, $2::varchar, $3::varchar, 0, $4 WHERE $2::varchar NOT LIKE '%.invalid'
    """,
)
CLAIM = Statement(
    "mail_claim",
    """
    UPDATE outbox o SET
        attempts = o.attempts + 1,
        due_at = $1::timestamptz + make_interval(secs => least($4::float8, $3::float8 * 2 ^ least(o.attempts, 30)))
    FROM (
        SELECT id FROM outbox WHERE due_at <= $1::timestamptz ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ) due
    WHERE o.id = due.id
    RETURNING o.id, o.recipient, o.kind, o.email_token_id, o.attempts
    """,
)
ISSUE = Statement(
    "mail_token_issue",
    """
    WITH asked AS (
        SELECT a.mail_id, a.token_id, a.digest, a.expires_at, u.id AS user_id, o.kind
        FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::timestamptz[]) AS a (mail_id, token_id, digest, expires_at)
        JOIN outbox o ON o.id = a.mail_id
        JOIN users u ON u.email = o.recipient
        WHERE u.disabled_at IS NULL AND (o.kind <> 'verify' OR u.email_verified_at IS NULL)
    ), superseded AS (
        DELETE FROM email_tokens t USING asked a WHERE t.user_id = a.user_id AND t.purpose = a.kind
    ), issued AS (
        INSERT INTO email_tokens (id, user_id, purpose, token_hash, expires_at)
        SELECT token_id, user_id, kind, digest, expires_at FROM asked
    )
    UPDATE outbox o SET email_token_id = a.token_id FROM asked a WHERE o.id = a.mail_id
    RETURNING o.id, o.email_token_id
    """,
)
LIVE = Statement(
    "mail_token_live",
    """
    SELECT id, token_hash FROM email_tokens WHERE id = ANY($1::uuid[]) AND used_at IS NULL AND expires_at > $2
    """,
)
DONE = Statement("mail_done", "DELETE FROM outbox WHERE id = ANY($1::uuid[])")


class Source(Protocol):
    """Where statements run: the pool, or the session of the one sender."""

    async def fetch(self, statement: Statement, *values: Any) -> list[dict[str, Any]]:
        """Run one and return its rows."""


@dataclass(frozen=True, slots=True)
class QueuedMail:
    """A mail whose turn it is. ``attempts`` counts this one."""

    id: UUID
    recipient: str
    kind: str
    email_token_id: UUID | None
    attempts: int


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to be issued for a mail; of the token itself only its SHA-256."""

    mail_id: UUID
    token_id: UUID
    digest: bytes
    expires_at: datetime


class Outbox:
    """Takes mails in and hands them out."""

    def __init__(self, source: Source, ids: Callable[[], UUID] = new_id) -> None:
        self._source = source
        self._ids = ids

    async def ask(self, kind: str, recipient: str, now: datetime) -> None:
        """Ask for a mail to a normalised address, whoever has it; addresses of the load generator get none ever."""
        await self._source.fetch(ASK, self._ids(), recipient, kind, now)

    async def claim(self, now: datetime, *, most: int, first_wait: float, longest_wait: float) -> list[QueuedMail]:
        """Take mails that are due, oldest first, and book their next attempt at once.

        A sender that dies over them loses none: they come up again after ``first_wait`` seconds, doubled with every
        attempt up to ``longest_wait``.
        """
        rows = await self._source.fetch(CLAIM, now, most, first_wait, longest_wait)
        return sorted((QueuedMail(**row) for row in rows), key=lambda mail: mail.id)

    async def issue(self, tokens: Sequence[NewToken]) -> Mapping[UUID, UUID]:
        """Issue tokens to those mails whose address has an account that needs one; return token ids by mail id.

        The newest token of a purpose takes the place of all older ones of its account.
        """
        rows = await self._source.fetch(
            ISSUE,
            [token.mail_id for token in tokens],
            [token.token_id for token in tokens],
            [token.digest for token in tokens],
            [token.expires_at for token in tokens],
        )
        return {row["id"]: row["email_token_id"] for row in rows}

    async def live(self, token_ids: Sequence[UUID], now: datetime) -> Mapping[UUID, bytes]:
        """Return the stored SHA-256 of those tokens that can still be redeemed."""
        rows = await self._source.fetch(LIVE, list(token_ids), now)
        return {row["id"]: row["token_hash"] for row in rows}

    async def done(self, mail_ids: Sequence[UUID]) -> None:
        """Forget mails that need no further attempt."""
        await self._source.fetch(DONE, list(mail_ids))
