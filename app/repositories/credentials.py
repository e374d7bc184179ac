"""Passwords of accounts: a change ends sessions, in the same statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from app.repositories.email_tokens import REDEEMABLE
from app.repositories.ids import new_id
from app.storage.database import Database, Statement
from app.values import Credential

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from app.repositories.invalidations import Invalidations

HASH = Statement("password_hash", "SELECT email, password_hash FROM users WHERE id = $1 AND disabled_at IS NULL")
CHANGE = Statement(
    "password_change",
    """
    WITH changed AS (
        UPDATE users SET password_hash = $3
        WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL
        RETURNING id, email
    ), ended AS (
        DELETE FROM sessions s USING changed c WHERE s.user_id = c.id AND s.token_hash <> $4 RETURNING s.token_hash
    ), revoked AS (
        DELETE FROM email_tokens t USING changed c WHERE t.user_id = c.id AND t.purpose = 'reset'
    ), mail AS (
        INSERT INTO outbox (id, recipient, kind, attempts, due_at)
        SELECT $6, email, 'password-changed', 0, $7 FROM changed WHERE email NOT LIKE '%.invalid'
    )
    INSERT INTO pending_invalidations (id, cache_keys)
    SELECT $5, ARRAY(SELECT 'session:' || encode(token_hash, 'hex') FROM ended) FROM changed
    RETURNING cache_keys
    """,
)
REDEEMABLE_NOW = Statement(
    "password_reset_redeemable",
    f"""
    SELECT u.email FROM email_tokens t JOIN users u ON u.id = t.user_id
    WHERE t.token_hash = $1 AND t.purpose = 'reset' AND {REDEEMABLE}
    """,  # noqa: S608 - constants of ours
)
RESET = Statement(
    "password_reset",
    f"""
    WITH redeemed AS (
        UPDATE email_tokens t SET used_at = $2
        WHERE t.token_hash = $1 AND t.purpose = 'reset' AND {REDEEMABLE}
        RETURNING t.user_id
    ), changed AS (
        UPDATE users u SET password_hash = $3, email_verified_at = coalesce(u.email_verified_at, $2)
        FROM redeemed r WHERE u.id = r.user_id AND u.disabled_at IS NULL
        RETURNING u.id, u.email
    ), ended AS (
        DELETE FROM sessions s USING changed c WHERE s.user_id = c.id RETURNING s.token_hash
    ), mail AS (
        INSERT INTO outbox (id, recipient, kind, attempts, due_at)
        SELECT $5, email, 'password-changed', 0, $2 FROM changed WHERE email NOT LIKE '%.invalid'
    ), pending AS (
        INSERT INTO pending_invalidations (id, cache_keys)
        SELECT $4, ARRAY['user:profile:' || id, 'email:verified:' || email]
            || ARRAY(SELECT 'session:' || encode(token_hash, 'hex') FROM ended)
        FROM changed
        RETURNING cache_keys
    )
    SELECT c.id, p.cache_keys FROM changed c, pending p
    """,  # noqa: S608 - constants of ours
)
END_LATECOMERS = Statement(
    "sessions_end_latecomers",
    """
    WITH ended AS (
        DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2 RETURNING token_hash
    )
    INSERT INTO pending_invalidations (id, cache_keys)
    SELECT $3, array_agg('session:' || encode(token_hash, 'hex')) FROM ended HAVING count(*) > 0
    RETURNING cache_keys
    """,
)

_NO_SESSION = b""


class Credentials:
    """Replaces passwords and ends the sessions that were opened with the old one."""

    def __init__(self, database: Database, invalidations: Invalidations, ids: Callable[[], UUID] = new_id) -> None:
        self._database = database
        self._invalidations = invalidations
        self._ids = ids

    async def of_user(self, user_id: UUID) -> Credential | None:
        """Return the address and the stored hash of a user; None when the account is gone or disabled."""
        rows = await self._database.fetch(HASH, user_id)
        return Credential(rows[0]["email"], rows[0]["password_hash"]) if rows else None

    async def change(self, user_id: UUID, old_hash: str, new_hash: str, kept: bytes, now: datetime) -> bool:
        """Replace the hash that was verified and end every session but the kept one.

        Say no when that hash has been replaced in the meantime: of two changes at once, one is made.
        """
        row = self._ids()
        rows = await self._database.fetch(CHANGE, user_id, old_hash, new_hash, kept, row, self._ids(), now)
        if not rows:
            return False
        await self._end(user_id, kept, row, rows[0]["cache_keys"])
        return True

    async def redeemable_by(self, digest: bytes, now: datetime) -> str | None:
        """Return the address of a token that could be spent now. Nothing follows from that: only `reset` spends it."""
        rows = await self._database.fetch(REDEEMABLE_NOW, digest, now)
        return cast("str", rows[0]["email"]) if rows else None

    async def reset(self, digest: bytes, new_hash: str, now: datetime) -> bool:
        """Spend a token, replace its owner's hash and end every session; False when there is no such token to spend."""
        row = self._ids()
        rows = await self._database.fetch(RESET, digest, now, new_hash, row, self._ids())
        if not rows:
            return False
        await self._end(rows[0]["id"], _NO_SESSION, row, rows[0]["cache_keys"])
        return True

    async def _end(self, user_id: UUID, kept: bytes, row: UUID, keys: list[str]) -> None:
        # A login that verified the old password may commit its session while the statement above, which sees only what
        # was there when it began, waits for the account's row. From its commit on no further one can be opened.
        late = self._ids()
        rows = await self._database.fetch(END_LATECOMERS, user_id, kept, late)
        await self._invalidations.enforce(row, keys)
        if rows:
            await self._invalidations.enforce(late, rows[0]["cache_keys"])
