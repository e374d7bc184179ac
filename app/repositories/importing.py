"""Users of another system, many in a statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from app.repositories.ids import new_id
from app.storage.database import Database, Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from uuid import UUID

ADD_ALL = Statement(
    "users_import",
    """
    WITH given AS (
        SELECT * FROM unnest($1::uuid[], $2::varchar[], $3::varchar[], $4::varchar[], $5::boolean[])
            AS g (id, email, password_hash, name, verified)
    ), created AS (
        INSERT INTO users (id, email, email_verified_at, password_hash, role, created_at)
        SELECT id, email, CASE WHEN verified THEN $6::timestamptz END, password_hash, 'user', $6 FROM given
        ON CONFLICT (email) DO NOTHING
        RETURNING id, email
    ), profile AS (
        INSERT INTO profiles (user_id, name, updated_at) SELECT c.id, g.name, $6 FROM created c JOIN given g USING (id)
    )
    SELECT email FROM created
    """,
)


class Importable(Protocol):
    """A user of another system, with a hash that can be verified."""

    @property
    def email(self) -> str:
        """Its normalised address."""

    @property
    def password_hash(self) -> str:
        """As it was encoded there."""

    @property
    def name(self) -> str | None:
        """What it is shown as."""

    @property
    def email_verified(self) -> bool:
        """Whether the address is known to be its."""


class Importing:
    """Writes users of another system."""

    def __init__(self, database: Database, ids: Callable[[], UUID] = new_id) -> None:
        self._database = database
        self._ids = ids

    async def add_all(self, entries: Sequence[Importable], now: datetime) -> set[str]:
        """Create those whose address has no account yet, all or none of them; return their addresses."""
        rows = await self._database.fetch(
            ADD_ALL,
            [self._ids() for _ in entries],
            [entry.email for entry in entries],
            [entry.password_hash for entry in entries],
            [entry.name for entry in entries],
            [entry.email_verified for entry in entries],
            now,
        )
        return {row["email"] for row in rows}
