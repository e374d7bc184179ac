"""The sessions of one user: listed, ended, and seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.listings import DeviceRow, Origin
from app.repositories.ids import new_id
from app.repositories.rows import end_of
from app.storage.database import Database, Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from app.listings import Page
    from app.repositories.invalidations import Invalidations

OF_USER = Statement(
    "user_sessions",
    """
    SELECT id, created_at, last_seen_at, expires_at, address, client
    FROM sessions WHERE user_id = $1 AND id > $2 AND expires_at > $3 AND last_seen_at > $4
    ORDER BY id LIMIT $5
    """,
)

_PENDING = """
    pending AS (
        INSERT INTO pending_invalidations (id, cache_keys)
        SELECT $1, array_agg('session:' || encode(token_hash, 'hex')) FROM gone HAVING count(*) > 0
        RETURNING cache_keys
    )
    SELECT cache_keys FROM pending
"""

END_ONE = Statement(
    "session_revoke",
    f"""
    WITH gone AS (DELETE FROM sessions WHERE id = $2 AND (user_id = $3) IS TRUE RETURNING token_hash), {_PENDING}
    """,  # noqa: S608 - a constant of ours
)
END_OTHERS = Statement(
    "sessions_revoke_others",
    f"""
    WITH gone AS (DELETE FROM sessions WHERE user_id = $2 AND id <> $3 RETURNING token_hash), {_PENDING}
    """,  # noqa: S608 - a constant of ours
)
TOUCH = Statement(
    "sessions_touch",
    """
    WITH seen AS (SELECT * FROM unnest($1::uuid[], $2::timestamptz[]) AS seen (id, at)),
         mine AS (
             SELECT s.id, seen.at FROM sessions s JOIN seen ON s.id = seen.id
             WHERE s.last_seen_at < seen.at AND s.last_seen_at > $3 AND s.expires_at > $4
             FOR UPDATE OF s SKIP LOCKED
         )
    UPDATE sessions s SET last_seen_at = mine.at FROM mine WHERE s.id = mine.id
    RETURNING 'session:' || encode(s.token_hash, 'hex') AS key
    """,
)
"""Only rows that are still there and not over are written; one that somebody else is writing or ending is left to them."""


class Devices:
    """Lists, ends and touches sessions; what the cache holds of them is deleted before anybody is answered."""

    def __init__(
        self, database: Database, invalidations: Invalidations, *, idle: timedelta, ids: Callable[[], UUID] = new_id
    ) -> None:
        self._database = database
        self._invalidations = invalidations
        self._idle = idle
        self._ids = ids

    async def of_user(self, user_id: UUID, page: Page, now: datetime) -> list[DeviceRow]:
        """List one page of the sessions of a user that are valid now."""
        rows = await self._database.fetch(OF_USER, user_id, page.cursor, now, now - self._idle, page.limit)
        return [
            DeviceRow(
                row["id"],
                row["created_at"],
                row["last_seen_at"],
                end_of(row, self._idle),
                Origin(row["address"], row["client"]),
            )
            for row in rows
        ]

    async def end_one(self, session_id: UUID, user_id: UUID) -> bool:
        """End a session for good, if it is that user's; say whether there was one."""
        return await self._end(END_ONE, session_id, user_id)

    async def end_others(self, user_id: UUID, kept: UUID) -> None:
        """End all sessions of a user but one for good."""
        await self._end(END_OTHERS, user_id, kept)

    async def touch(self, seen: Sequence[tuple[UUID, datetime]], now: datetime) -> None:
        """Write when sessions were last seen. One that is over by now stays over.

        Their cached values are deleted, never rewritten: whoever needs one reads it anew under a lease. A value that
        cannot be deleted errs on the early side, lives no longer than it says, and makes its reader be noted again. So
        nothing is left pending: an hour without Redis would pile up a delete for every session in use.
        """
        ids, moments = [each for each, _ in seen], [moment for _, moment in seen]
        rows = await self._database.fetch(TOUCH, ids, moments, now - self._idle, now)
        if rows:
            await self._invalidations.clear([row["key"] for row in rows])

    async def _end(self, statement: Statement, *values: object) -> bool:
        row = self._ids()
        rows = await self._database.fetch(statement, row, *values)
        if rows:
            await self._invalidations.enforce(row, rows[0]["cache_keys"])
        else:
            await self._invalidations.finish_all()
        return bool(rows)
