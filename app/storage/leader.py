"""Being the only one in the fleet: a session that holds an advisory lock, which PostgreSQL frees when the session ends.

The session is not one of the pool's: those are shared, and a lock of a session belongs to whoever has the connection.
Behind pgbouncer in transaction mode there are no such sessions; give the fleet a direct URL, or pool by session.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import asyncpg

from app.errors import DatabaseUnavailable
from app.storage.schema import credentials

if TYPE_CHECKING:
    from app.storage.database import Statement

PATIENCE = 5.0
"""Seconds that connecting, a statement or closing may take."""

_KEEPALIVE = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
"""A holder whose machine vanished is noticed within half a minute, not after the system's two hours."""


class Leader:
    """A held lock. Statements run on the session that holds it, so that none runs after it is lost."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection

    @classmethod
    async def elect(cls, url: str, lock: int) -> Self | None:
        """Try to become the holder of a lock; None when there is one. Raises DatabaseUnavailable."""
        try:
            connection = await asyncpg.connect(**credentials(url), timeout=PATIENCE, command_timeout=PATIENCE)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseUnavailable(f"PostgreSQL did not answer: {type(error).__name__}") from error
        leader = cls(connection)
        elected = False
        try:
            await leader._run(connection.execute(_KEEPALIVE))
            elected = await leader._run(connection.fetchval("SELECT pg_try_advisory_lock($1)", lock))
        finally:
            if not elected:
                await leader.close()
        return leader if elected else None

    @property
    def holds(self) -> bool:
        """Whether the session is open, as far as is known here."""
        return not self._connection.is_closed()

    async def fetch(self, statement: Statement, *values: Any) -> list[dict[str, Any]]:
        """Run a statement and return its rows. Raises DatabaseUnavailable: then the lock may be lost."""
        rows = await self._run(self._connection.fetch(statement.sql, *values))
        return [dict(row) for row in rows]

    async def close(self) -> None:
        """End the session and with it the lock."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._connection.close()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._connection.terminate()

    async def _run(self, work: Any) -> Any:
        try:
            return await work
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseUnavailable(f"PostgreSQL did not answer: {type(error).__name__}") from error
