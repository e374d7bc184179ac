"""Accounts, and the profile that each one has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from app.errors import EmailTaken
from app.repositories.ids import new_id
from app.repositories.keys import profile_key
from app.repositories.rows import PROFILE_FIELDS, USER_COLUMNS, profile_of, user_of
from app.storage.database import Database, Statement
from app.values import Account, Profile, ProfileChange, User

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from app.repositories.invalidations import Invalidations

BY_EMAIL = Statement(
    "user_by_email",
    f"""
    SELECT u.password_hash, u.disabled_at IS NOT NULL AS disabled, {USER_COLUMNS}
    FROM users u JOIN profiles p ON p.user_id = u.id WHERE u.email = $1
    """,  # noqa: S608 - constants of ours
)
CREATE = Statement(
    "user_create",
    """
    WITH created AS (
        INSERT INTO users (id, email, password_hash, role, created_at) VALUES ($1, $2::varchar, $3, 'user', $4)
        ON CONFLICT (email) DO NOTHING
        RETURNING id
    ), profile AS (
        INSERT INTO profiles (user_id, name, updated_at) SELECT id, $5, $4 FROM created
    ), mail AS (
        INSERT INTO outbox (id, recipient, kind, attempts, due_at)
        SELECT $6, $2::varchar, CASE WHEN EXISTS (SELECT FROM created) THEN 'verify' ELSE 'account-exists' END, 0, $4
        WHERE ($7 OR EXISTS (SELECT FROM created)) AND $2::varchar NOT LIKE '%.invalid'
    )
    SELECT id FROM created
    """,
)
"""An account, its profile and the mail to its owner; for a taken address, when that is concealed, the mail alone."""

CHANGE_PROFILE = Statement(
    "profile_change",
    """
    WITH pending AS (INSERT INTO pending_invalidations (id, cache_keys) VALUES ($2, $3::text[]))
    UPDATE profiles SET
        name = CASE WHEN $4 THEN $5 ELSE name END,
        bio = CASE WHEN $6 THEN $7 ELSE bio END,
        avatar_url = CASE WHEN $8 THEN $9 ELSE avatar_url END,
        locale = CASE WHEN $10 THEN $11 ELSE locale END,
        timezone = CASE WHEN $12 THEN $13 ELSE timezone END,
        updated_at = $14
    WHERE user_id = $1
    RETURNING name, bio, avatar_url, locale, timezone, updated_at
    """,
)
UPGRADE = Statement(
    "password_upgrade", "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2 RETURNING id"
)
PURGE = Statement(
    "load_users_purge",
    """
    WITH doomed AS (SELECT id, email FROM users WHERE email LIKE '%@load.invalid' ORDER BY id LIMIT $2),
         stale AS (
             SELECT 'user:profile:' || id AS key FROM doomed
             UNION ALL
             SELECT 'email:verified:' || email FROM doomed
             UNION ALL
             SELECT 'session:' || encode(s.token_hash, 'hex') FROM sessions s JOIN doomed d ON s.user_id = d.id
         ),
         pending AS (
             INSERT INTO pending_invalidations (id, cache_keys)
             SELECT $1, array_agg(key) FROM stale HAVING count(*) > 0
             RETURNING cache_keys
         ),
         gone AS (DELETE FROM users WHERE id IN (SELECT id FROM doomed) RETURNING id)
    SELECT cache_keys, (SELECT count(*) FROM gone) AS users FROM pending
    """,
)


class Accounts:
    """Creates and finds accounts, changes profiles."""

    def __init__(self, database: Database, invalidations: Invalidations, ids: Callable[[], UUID] = new_id) -> None:
        self._database = database
        self._invalidations = invalidations
        self._ids = ids

    async def create(
        self, email: str, password_hash: str, name: str | None, now: datetime, *, conceal: bool = False
    ) -> User:
        """Create an account, its profile and the mail that asks to verify its address, in one statement.

        When the address has an account already, raise EmailTaken; or, to ``conceal`` that, write a mail that tells its
        owner and return what a new account would look like.
        """
        user_id = self._ids()
        rows = await self._database.fetch(CREATE, user_id, email, password_hash, now, name, self._ids(), conceal)
        if not rows and not conceal:
            raise EmailTaken("this email address has an account already")
        return User(
            id=user_id,
            email=email,
            email_verified=False,
            role="user",
            created_at=now,
            profile=Profile(name=name, updated_at=now),
        )

    async def by_email(self, email: str) -> Account | None:
        """Return the account with a normalised address."""
        rows = await self._database.fetch(BY_EMAIL, email)
        if not rows:
            return None
        return Account(user_of(rows[0]), rows[0]["password_hash"], rows[0]["disabled"])

    async def upgrade(self, user_id: UUID, old_hash: str, new_hash: str) -> None:
        """Replace a hash by another one of the same password, if it is still the old one. No session ends by that."""
        await self._database.fetch(UPGRADE, user_id, old_hash, new_hash)

    async def change_profile(self, user_id: UUID, change: ProfileChange, now: datetime) -> Profile | None:
        """Change a profile and return it whole, or None when there is no such user."""
        row, keys = self._ids(), [profile_key(user_id)]
        fields: list[object] = []
        for name in PROFILE_FIELDS:
            value = getattr(change, name)
            fields += [False, None] if value is UNSET else [True, value]
        rows = await self._database.fetch(CHANGE_PROFILE, user_id, row, keys, *fields, now)
        await self._invalidations.enforce(row, keys)
        return profile_of(rows[0]) if rows else None

    async def purge_load_users(self, batch: int = 500) -> int:
        """Delete the load generator's accounts with all that hangs on them; return how many there were."""
        purged = 0
        while True:
            row = self._ids()
            rows = await self._database.fetch(PURGE, row, batch)
            if not rows:
                return purged
            await self._invalidations.enforce(row, rows[0]["cache_keys"])
            purged += rows[0]["users"]
