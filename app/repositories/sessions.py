"""Sessions, and a session together with its user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from app.listings import UNKNOWN_ORIGIN, Origin
from app.repositories.aside import CacheAside, Family, Wanted
from app.repositories.ids import new_id
from app.repositories.keys import profile_key, session_key
from app.repositories.rows import USER_COLUMNS, session_of, user_of
from app.storage.database import Database, Statement

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta
    from uuid import UUID

    from app.repositories.aside import Stored, Values
    from app.repositories.invalidations import Invalidations
    from app.values import Session, User

BY_TOKEN = Statement(
    "session_by_token",
    """
    SELECT id AS session_id, user_id, created_at, expires_at, last_seen_at
    FROM sessions WHERE user_id = $2 AND token_hash = $1
    """,
)

WITH_USER = Statement(
    "session_with_profile",
    f"""
    SELECT s.id AS session_id, s.created_at, s.expires_at, s.last_seen_at, {USER_COLUMNS}
    FROM sessions s JOIN users u ON u.id = s.user_id JOIN profiles p ON p.user_id = u.id
    WHERE s.user_id = $2 AND s.token_hash = $1
    """,  # noqa: S608 - constants of ours
)
USER = Statement(
    "user_with_profile",
    f"SELECT {USER_COLUMNS} FROM users u JOIN profiles p ON p.user_id = u.id WHERE u.id = $1",  # noqa: S608 - the same
)
OPEN = Statement(
    "session_open",
    """
    INSERT INTO sessions (id, user_id, token_hash, created_at, last_seen_at, expires_at, address, client)
    SELECT $1, id, $3, $4, $4, $5, $6, $7 FROM users WHERE id = $2 AND disabled_at IS NULL
        AND ($8::varchar IS NULL OR password_hash = $8::varchar)
    FOR SHARE
    RETURNING id
    """,
)
"""The lock makes whoever disables the account or replaces its password wait for sessions that are being opened, and those
that come later see it."""

END = Statement(
    "session_end",
    """
    WITH pending AS (INSERT INTO pending_invalidations (id, cache_keys) VALUES ($2, $3::text[]))
    DELETE FROM sessions WHERE user_id = $4 AND token_hash = $1
    """,
)


class Sessions:
    """Reads sessions cache-aside; opens and ends them in PostgreSQL first."""

    def __init__(
        self,
        database: Database,
        aside: CacheAside,
        invalidations: Invalidations,
        *,
        session: Family,
        user: Family,
        idle: timedelta,
        ids: Callable[[], UUID] = new_id,
    ) -> None:
        self._database = database
        self._aside = aside
        self._invalidations = invalidations
        self._session = session
        self._user = user
        self._idle = idle
        self._ids = ids

    def glance(self, digest: bytes, user_id: UUID, glanced: Callable[[Session | None, Stored | None], None]) -> None:
        """Find a session in the cache alone; ``glanced`` gets it, or None and what there is to go on with."""

        def found(values: Values | None, stored: Stored | None) -> None:
            glanced(_of_user(values[0], user_id) if values else None, stored)

        self._aside.glance([Wanted(self._session, session_key(digest))], found)

    def glance_with_user(
        self,
        digest: bytes,
        user_id: UUID,
        glanced: Callable[[Session | None, User | None, Stored | None], None],
    ) -> None:
        """Find a session and its user in the cache alone, likewise."""

        def found(values: Values | None, stored: Stored | None) -> None:
            session, user = values or (None, None)
            glanced(_of_user(session, user_id), user, stored)

        self._aside.glance(self._wanted(digest, user_id), found)

    async def find(self, digest: bytes, user_id: UUID, stored: Stored | None = None) -> Session | None:
        """Return the session behind a token's digest, expired or not, if it is that user's.

        ``stored`` is what a glance of the same request has seen.
        """

        async def load(_: tuple[int, ...]) -> list[Session | None]:
            rows = await self._database.fetch(BY_TOKEN, digest, user_id)
            return [session_of(rows[0], self._idle) if rows else None]

        [session] = await self._aside.fetch([Wanted(self._session, session_key(digest))], load, stored)
        return _of_user(session, user_id)

    async def find_with_user(
        self, digest: bytes, user_id: UUID, stored: Stored | None = None
    ) -> tuple[Session | None, User | None]:
        """Return a session and its user, in one batch from the cache or one query; ``stored`` as with ``find``."""

        async def load(missing: tuple[int, ...]) -> list[Any]:
            if missing == (0,):
                rows = await self._database.fetch(BY_TOKEN, digest, user_id)
                return [session_of(rows[0], self._idle) if rows else None]
            if missing == (1,):
                rows = await self._database.fetch(USER, user_id)
                return [user_of(rows[0]) if rows else None]
            rows = await self._database.fetch(WITH_USER, digest, user_id)
            return [session_of(rows[0], self._idle), user_of(rows[0])] if rows else [None, None]

        session, user = await self._aside.fetch(self._wanted(digest, user_id), load, stored)
        return _of_user(session, user_id), user

    def _wanted(self, digest: bytes, user_id: UUID) -> list[Wanted]:
        return [Wanted(self._session, session_key(digest)), Wanted(self._user, profile_key(user_id))]

    async def open(
        self,
        user_id: UUID,
        digest: bytes,
        created_at: datetime,
        expires_at: datetime,
        origin: Origin = UNKNOWN_ORIGIN,
        verified_hash: str | None = None,
    ) -> UUID | None:
        """Open a session and return its id, or None when the account is gone or disabled.

        With the hash that a password was verified against, None also when that has been replaced in the meantime.
        """
        where = (origin.address, origin.client)
        rows = await self._database.fetch(
            OPEN, self._ids(), user_id, digest, created_at, expires_at, *where, verified_hash
        )
        return cast("UUID", rows[0]["id"]) if rows else None

    async def end(self, digest: bytes, user_id: UUID) -> None:
        """End a session of a user for good. Ending one that is over already is no error and still clears the cache."""
        row, keys = self._ids(), [session_key(digest)]
        await self._database.fetch(END, digest, row, keys, user_id)
        await self._invalidations.enforce(row, keys)

    async def forget(self, digest: bytes) -> None:
        """Make sure that no cache knows a session that the database does not have."""
        await self._invalidations.clear([session_key(digest)])


def _of_user(session: Session | None, user_id: UUID) -> Session | None:
    # The cache knows a session by its secret alone; the user that the token claims must be its user.
    return session if session is not None and session.user_id == user_id else None
