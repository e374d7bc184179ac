"""Rows that are over, deleted in batches that are bounded and found by an index.

Workers that sweep at the same time pass over each other's rows (SKIP LOCKED).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.listings import FIRST_ID
from app.repositories.ids import earliest_id
from app.storage.database import Database, Statement

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

EXPIRED_SESSIONS = Statement(
    "sessions_sweep_expired",
    """
    WITH doomed AS (
        SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ),
    gone AS (DELETE FROM sessions WHERE id IN (SELECT id FROM doomed) RETURNING id)
    SELECT count(*) AS swept FROM gone
    """,
)
IDLE_SESSIONS = Statement(
    "sessions_sweep_idle",
    """
    WITH page AS (SELECT id, last_seen_at FROM sessions WHERE id > $1 AND id < $2 ORDER BY id LIMIT $4),
         doomed AS (
             SELECT s.id FROM sessions s JOIN page ON s.id = page.id
             WHERE page.last_seen_at < $3 AND s.last_seen_at < $3 FOR UPDATE OF s SKIP LOCKED
         ),
         gone AS (DELETE FROM sessions WHERE id IN (SELECT id FROM doomed) RETURNING id)
    SELECT (SELECT count(*) FROM page) AS seen, (SELECT count(*) FROM gone) AS swept,
           (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS last
    """,
)
EXPIRED_EMAIL_TOKENS = Statement(
    "email_tokens_sweep",
    """
    WITH doomed AS (
        SELECT id FROM email_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ),
    gone AS (DELETE FROM email_tokens WHERE id IN (SELECT id FROM doomed) RETURNING id)
    SELECT count(*) AS swept FROM gone
    """,
)


class Sweeps:
    """Deletes one batch at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._walked = FIRST_ID

    async def expired_sessions(self, before: datetime, limit: int) -> int:
        """Delete sessions whose absolute end was before a moment; return how many."""
        return await self._swept(EXPIRED_SESSIONS, before, limit)

    async def expired_email_tokens(self, before: datetime, limit: int) -> int:
        """Delete mailed secrets that ran out before a moment; return how many."""
        return await self._swept(EXPIRED_EMAIL_TOKENS, before, limit)

    async def idle_sessions(self, before: datetime, limit: int) -> int:
        """Look at the next so many sessions and delete those last seen before a moment; return how many.

        An index of when sessions were last seen would have to be written with every sight of one. So this walks along
        the ids, which sort by creation: one that is idle for long was opened before that. At the end it starts anew.
        """
        [row] = await self._database.fetch(IDLE_SESSIONS, self._walked, earliest_id(before), before, limit)
        last: UUID | None = row["last"]
        self._walked = last if last is not None and row["seen"] == limit else FIRST_ID
        swept: int = row["swept"]
        return swept

    async def _swept(self, statement: Statement, before: datetime, limit: int) -> int:
        [row] = await self._database.fetch(statement, before, limit)
        swept: int = row["swept"]
        return swept
