"""Redeeming what was sent by mail: each token once, in the same statement as its effect; and whose address is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from app.repositories.aside import CacheAside, Family, Wanted
from app.repositories.ids import new_id
from app.repositories.keys import verified_key
from app.storage.database import Database, Statement

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from app.repositories.invalidations import Invalidations

REDEEMABLE = """
    t.used_at IS NULL AND t.expires_at > $2 AND NOT EXISTS (
        SELECT FROM email_tokens newer WHERE newer.user_id = t.user_id AND newer.purpose = t.purpose AND newer.id > t.id
    )
"""
"""Neither spent nor expired, and the newest: two that were issued at the same moment did not see each other."""

VERIFY = Statement(
    "email_verify",
    f"""
    WITH redeemed AS (
        UPDATE email_tokens t SET used_at = $2
        WHERE t.token_hash = $1 AND t.purpose = 'verify' AND {REDEEMABLE}
        RETURNING t.user_id
    ), verified AS (
        UPDATE users u SET email_verified_at = coalesce(u.email_verified_at, $2)
        FROM redeemed r WHERE u.id = r.user_id AND u.disabled_at IS NULL
        RETURNING u.id, u.email
    )
    INSERT INTO pending_invalidations (id, cache_keys)
    SELECT $3, ARRAY['user:profile:' || id, 'email:verified:' || email] FROM verified
    RETURNING cache_keys
    """,  # noqa: S608 - constants of ours
)
VERIFIED = Statement("email_verified", "SELECT email_verified_at IS NOT NULL AS verified FROM users WHERE email = $1")


class Verification(msgspec.Struct, frozen=True, array_like=True):
    """Whether the address of an account is known to be its owner's."""

    verified: bool


class EmailTokens:
    """Redeems the tokens that verify addresses, and remembers which are verified."""

    def __init__(
        self,
        database: Database,
        aside: CacheAside,
        invalidations: Invalidations,
        *,
        verification: Family,
        ids: Callable[[], UUID] = new_id,
    ) -> None:
        self._database = database
        self._aside = aside
        self._invalidations = invalidations
        self._verification = verification
        self._ids = ids

    async def verify(self, digest: bytes, now: datetime) -> bool:
        """Spend a token and mark its owner's address as verified; False when there is no such token to spend."""
        row = self._ids()
        rows = await self._database.fetch(VERIFY, digest, now, row)
        if not rows:
            return False
        await self._invalidations.enforce(row, rows[0]["cache_keys"])
        return True

    async def is_verified(self, email: str) -> bool:
        """Say whether an account's address is verified."""

        async def load(_: tuple[int, ...]) -> list[Verification | None]:
            rows = await self._database.fetch(VERIFIED, email)
            return [Verification(rows[0]["verified"]) if rows else None]

        [found] = await self._aside.fetch([Wanted(self._verification, verified_key(email))], load)
        return found is not None and found.verified
