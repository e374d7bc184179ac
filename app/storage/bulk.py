"""Many rows at once: PostgreSQL's COPY, the fastest way in."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg

from app.errors import DatabaseUnavailable
from app.storage.schema import credentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

CONNECT_SECONDS = 5.0
COPY_SECONDS = 300.0
"""For one table of one batch, after which the server is given up."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table, each in the order of ``columns``."""

    table: str
    columns: tuple[str, ...]
    records: Sequence[tuple[Any, ...]]


class Bulk:
    """Copies batches of rows over a connection of its own."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Bulk]:
        """Connect. Raises DatabaseUnavailable, here and in what is done with it."""
        try:
            connection = await asyncpg.connect(**credentials(url), timeout=CONNECT_SECONDS)
            try:
                yield cls(connection)
            finally:
                # Cut, not closed: what is under way when somebody loses patience is rolled back by the server.
                connection.terminate()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseUnavailable(
                f"PostgreSQL did not take the rows: {str(error) or type(error).__name__}"
            ) from error

    async def copy(self, *tables: Rows) -> None:
        """Copy rows into tables, all of them or none."""
        async with self._connection.transaction():
            for rows in tables:
                await self._connection.copy_records_to_table(
                    rows.table, records=rows.records, columns=rows.columns, timeout=COPY_SECONDS
                )
