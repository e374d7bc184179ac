"""How PostgreSQL runs a statement, asked over a connection of its own that can change nothing and holds up nobody for long."""

from __future__ import annotations

import contextlib
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from app.storage.schema import credentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.storage.database import Statement

TIMEOUT = 2.0
"""Seconds that a statement may take here."""

_EXAMPLES: dict[str, Any] = {
    "uuid": UUID(int=1),
    "bytea": b"x",
    "timestamptz": datetime(2026, 1, 1, tzinfo=UTC),
    "bool": True,
    "text": "x",
    "varchar": "x",
    "int4": 20,
    "int8": 20,
    "float8": 1.0,
    "interval": None,
}
"""What stands for a parameter that is compared with no column, or with one of an empty table, by its type."""

_COMPARED = r"(?:(\w+)\.)?(\w+)\s*(?:=|<|>|<=|>=)\s*(?:ANY\s*\()?\s*\${number}(?!\d)"
_TABLES = re.compile(
    r"\b(?:FROM|JOIN|UPDATE|INTO|USING)\s+(\w+)(?:\s+(?:AS\s+)?(?!(?:ON|SET|WHERE|JOIN|ORDER|USING|CROSS|LEFT)\b)(\w+))?",
    re.IGNORECASE,
)

_ROWS = "SELECT relname, greatest(reltuples, 0)::bigint AS rows FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
_COUNTED = """
    SELECT queryid, calls, rows, mean_exec_time / 1000 AS mean, max_exec_time / 1000 AS most, shared_blks_hit, shared_blks_read
    FROM pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND toplevel
"""


class ExplainError(Exception):
    """PostgreSQL does not answer, or not to this; the message is what it said."""


class Explainer:
    """A session with PostgreSQL in which nothing can be written."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection

    @classmethod
    @contextlib.asynccontextmanager
    async def at(cls, url: str) -> AsyncIterator[Explainer]:
        """Open one for a while; raise ExplainError for all that goes wrong in it."""
        try:
            connection = await asyncpg.connect(**credentials(url), timeout=TIMEOUT, command_timeout=TIMEOUT + 1)
            try:
                await connection.execute(
                    f"SET default_transaction_read_only = on; SET statement_timeout = {TIMEOUT * 1000:.0f}"
                )
                yield cls(connection)
            finally:
                await connection.close(timeout=TIMEOUT)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise ExplainError(str(error) or type(error).__name__) from error

    async def arguments(self, statement: Statement) -> list[Any]:
        """Return values like those the statement has in life: of the columns that its parameters are compared with."""
        prepared = await self._connection.prepare(statement.sql)
        types = [parameter.name for parameter in prepared.get_parameters()]
        return [await self._argument(statement.sql, number, name) for number, name in enumerate(types, 1)]

    async def _argument(self, sql: str, number: int, type_name: str) -> Any:
        base = type_name.removesuffix("[]")
        value = _EXAMPLES.get(base)
        if column := compared_column(sql, number):
            value = await self._some(*column) or value
        return [value] if type_name.endswith("[]") else value

    async def _some(self, table: str, column: str) -> Any:
        """Return a value of a column, not the very first; None of an empty one, or of one that is none."""
        of_column = f"SELECT {column} AS value FROM {table} WHERE {column} IS NOT NULL LIMIT 1"  # noqa: S608 - names out of our own statements
        with contextlib.suppress(asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
            for beginning in (7, 0):
                if found := await self._connection.fetch(f"{of_column} OFFSET {beginning}"):
                    return found[0]["value"]
        return None

    async def plan(self, statement: Statement, arguments: list[Any], *, run: bool) -> dict[str, Any]:
        """Return PostgreSQL's plan as it tells it in JSON, with what it took when it is ``run``, and undone again."""
        options = "ANALYZE, BUFFERS, FORMAT JSON" if run else "FORMAT JSON"
        transaction = self._connection.transaction(readonly=True)
        await transaction.start()
        try:
            told = await self._connection.fetchval(f"EXPLAIN ({options}) {statement.sql}", *arguments)
        finally:
            await transaction.rollback()
        return dict(json.loads(told)[0])

    async def rows(self) -> dict[str, int]:
        """Return about how many rows each table has."""
        return {row["relname"]: row["rows"] for row in await self._connection.fetch(_ROWS)}

    async def counted(self) -> dict[int, dict[str, Any]] | None:
        """Return what pg_stat_statements has counted, by the id of a query; None where it is not to be had."""
        with contextlib.suppress(asyncpg.PostgresError):
            return {row["queryid"]: dict(row) for row in await self._connection.fetch(_COUNTED)}
        return None

    async def identity(self, statement: Statement) -> int | None:
        """Return the id under which pg_stat_statements counts a statement."""
        prepared = await self._connection.prepare(statement.sql)
        nothing = [None] * len(prepared.get_parameters())
        told = await self._connection.fetchval(f"EXPLAIN (VERBOSE, FORMAT JSON) {statement.sql}", *nothing)
        identity: int | None = json.loads(told)[0].get("Query Identifier")
        return identity


def compared_column(sql: str, number: int) -> tuple[str, str] | None:
    """Return the table and column that a parameter is compared with, None when it is with none that can be told."""
    compared = re.search(_COMPARED.replace("{number}", str(number)), sql)
    tables = [(match[1], match[2]) for match in _TABLES.finditer(sql)]
    if compared is None or not tables:
        return None
    alias, column = compared[1], compared[2]
    table = next((name for name, short in tables if alias in {name, short}), None) if alias else tables[0][0]
    return (table, column) if table else None
