"""All users as administrators see and change them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import EmailTaken
from app.listings import MOST_ITEMS, ListedUser
from app.repositories.ids import new_id
from app.storage.database import Database, Statement, UniqueViolation

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from app.listings import Page
    from app.repositories.invalidations import Invalidations

AFTER = Statement(
    "users_page",
    f"""
    SELECT u.id, u.email, u.email_verified_at IS NOT NULL AS email_verified, u.role, p.name, u.created_at, u.disabled_at
    FROM (
        SELECT id, email, email_verified_at, role, created_at, disabled_at
        FROM users WHERE id > $1 ORDER BY id LIMIT {MOST_ITEMS + 1}
    ) u JOIN (
        SELECT user_id, name FROM profiles WHERE user_id > $1 ORDER BY user_id LIMIT {MOST_ITEMS + 1}
    ) p ON p.user_id = u.id
    ORDER BY u.id LIMIT $2
    """,  # noqa: S608 - a constant of ours
    may_lag=True,
)
"""Both tables are read from the cursor on and merged: two ways down a tree, however many there are on the page. No profile is
without a user, so those of the next users are among the next profiles. Without a bound on each side one of them might be
read from its beginning; one that is known beforehand gives a plan for all cursors, where each page was planned anew."""

ADD = Statement(
    "user_add",
    """
    WITH created AS (
        INSERT INTO users (id, email, password_hash, role, created_at, email_verified_at) VALUES ($1, $2, $3, $4, $5, $5)
    )
    INSERT INTO profiles (user_id, updated_at) VALUES ($1, $5)
    """,
)
SET_ROLE = Statement(
    "user_set_role",
    """
    WITH changed AS (UPDATE users SET role = $3 WHERE email = $2 RETURNING id)
    INSERT INTO pending_invalidations (id, cache_keys) SELECT $1, ARRAY['user:profile:' || id] FROM changed
    RETURNING cache_keys
    """,
)
ENABLE = Statement("user_enable", "UPDATE users SET disabled_at = NULL WHERE email = $1 RETURNING id")
DISABLE = Statement(
    "user_disable",
    """
    WITH disabled AS (UPDATE users SET disabled_at = coalesce(disabled_at, $3) WHERE email = $2 RETURNING id),
         gone AS (DELETE FROM sessions WHERE user_id IN (SELECT id FROM disabled) RETURNING token_hash),
         stale AS (
             SELECT 'user:profile:' || id AS key FROM disabled
             UNION ALL
             SELECT 'session:' || encode(token_hash, 'hex') FROM gone
         ),
         pending AS (
             INSERT INTO pending_invalidations (id, cache_keys)
             SELECT $1, array_agg(key) FROM stale HAVING count(*) > 0
             RETURNING cache_keys
         )
    SELECT cache_keys, (SELECT count(*) FROM gone) AS sessions FROM pending
    """,
)


class Users:
    """Lists users, adds them, changes their roles, disables and enables them."""

    def __init__(self, database: Database, invalidations: Invalidations, ids: Callable[[], UUID] = new_id) -> None:
        self._database = database
        self._invalidations = invalidations
        self._ids = ids

    async def after(self, page: Page) -> list[ListedUser]:
        """List one page of users, with what a list shows and nothing else."""
        return [ListedUser(**row) for row in await self._database.fetch(AFTER, page.cursor, page.limit)]

    async def add(self, email: str, password_hash: str, role: str, now: datetime) -> UUID:
        """Create an account whose address somebody vouches for; raise EmailTaken when the address has one."""
        user_id = self._ids()
        try:
            await self._database.fetch(ADD, user_id, email, password_hash, role, now)
        except UniqueViolation as error:
            if error.constraint == "idx_users_email":
                raise EmailTaken("this email address has an account already") from error
            raise
        return user_id

    async def set_role(self, email: str, role: str) -> bool:
        """Change what a user may do; say whether there is such a user."""
        row = self._ids()
        rows = await self._database.fetch(SET_ROLE, row, email, role)
        if rows:
            await self._invalidations.enforce(row, rows[0]["cache_keys"])
        return bool(rows)

    async def enable(self, email: str) -> bool:
        """Let a user log in again; say whether there is such a user."""
        return bool(await self._database.fetch(ENABLE, email))

    async def disable(self, email: str, now: datetime) -> int | None:
        """Keep a user from logging in and end all sessions; return how many there were, None without such a user.

        A login that was under way when the statement began may have opened a session that it could not see. It has
        to wait for the first statement or be waited for by it (OPEN locks the account), so a second one finds all.
        """
        written = [await self._disable(email, now), await self._disable(email, now)]
        found = [done for done in written if done]
        # Both are written before any cache is told: one that cannot be told must not keep latecomers alive.
        for row, keys, _ in found:
            await self._invalidations.enforce(row, keys)
        if (
            found and not found[0][2]
        ):  # it may have been tried before, by somebody who was told that caches have to wait
            await self._invalidations.finish_all()
        return sum(sessions for *_, sessions in found) if found else None

    async def _disable(self, email: str, now: datetime) -> tuple[UUID, list[str], int] | None:
        """Write it; return the row and the cache keys of what is now stale, and how many sessions were ended."""
        row = self._ids()
        rows = await self._database.fetch(DISABLE, row, email, now)
        return (row, rows[0]["cache_keys"], rows[0]["sessions"]) if rows else None
