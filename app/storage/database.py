"""The way to PostgreSQL: one client, named statements, one set of errors."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import asyncpg
from tortoise.context import TortoiseContext
from tortoise.exceptions import DBConnectionError

from app.errors import DatabaseUnavailable, DatabaseUnfit
from app.storage.schema import configuration

if TYPE_CHECKING:
    from app.storage.engine import Client, MeteredPool, PoolMeter, QueryMeter
    from app.storage.replicas import Replicas

_AWAY = (
    OSError,
    TimeoutError,
    DBConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresIOError,
    asyncpg.TransactionRollbackError,
)
"""What a server raises that is away, restarting, full, read-only, closed to us or too slow, or that ended a deadlock: nothing was written."""

_UNFIT = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedTableError,
)
"""What a server that lacks our schema, or does not let us use it, raises."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A query with a name. Telemetry, targets and the test of query plans know it by that name.

    One that ``may_lag`` is read from a replica where there is one: its caller can do with an answer that is some seconds
    old. That is nothing that fills a cache, decides who may enter, or shows people what they have just done.
    """

    name: str
    sql: str
    may_lag: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """Bounds of the pool; times in seconds. It can be resized up to ``most`` connections, its first size when that is less."""

    size: int
    most: int = 0
    max_wait: float
    idle_timeout: float
    validate_after: float
    query_timeout: float


class UniqueViolation(Exception):
    """A row with that key is there already; ``constraint`` names which key."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class Database:
    """An open pool of one server. Everything runs in autocommit: a write that must be atomic is one statement."""

    def __init__(self, context: TortoiseContext, client: Client, query_timeout: float) -> None:
        self._context = context
        self._client = client
        self._query_timeout = query_timeout
        self.pool = cast("MeteredPool", client._pool)  # noqa: SLF001 - Tortoise has no public way to it
        """What is lent from, and how many at most."""
        self.replicas: Replicas | None = None
        """Who is asked first what may lag."""

    @classmethod
    async def open(cls, url: str, options: PoolOptions, meter: PoolMeter, queries: QueryMeter | None = None) -> Self:
        """Prepare the pool. The server need not be there yet: connections are made when they are needed."""
        context = TortoiseContext()
        config = configuration(
            url,
            engine="app.storage.engine",
            minsize=0,
            maxsize=max(options.most, options.size),
            limit=options.size,
            max_inactive_connection_lifetime=options.idle_timeout,
            command_timeout=options.query_timeout,
            timeout=options.max_wait,
            application_name="gatewatch",
            max_wait=options.max_wait,
            validate_after=options.validate_after,
            meter=meter,
            queries=queries or _Uncounted(),
        )
        # At debug level it logs the parameters of every statement: addresses and hashes.
        logging.getLogger("tortoise.db_client").setLevel(logging.INFO)
        # In a task of its own: Tortoise finds its context in a context variable, which must not leak to the caller.
        client = await asyncio.get_running_loop().create_task(_initialise(context, config))
        return cls(context, client, options.query_timeout)

    @property
    def deadline(self) -> float:
        """One bound over waiting and asking together, a little past the longer of the two, so that theirs speak first."""
        return max(self.pool.max_wait, self._query_timeout) + 0.2

    async def fetch(self, statement: Statement, *values: Any) -> list[dict[str, Any]]:
        """Run a statement and return its rows.

        What may lag is asked of a replica, and of this server when no replica is fit to answer.

        Raises PoolExhausted or DatabaseUnavailable (both worth another try), DatabaseUnfit, or UniqueViolation.
        """
        if statement.may_lag and self.replicas and (rows := await self.replicas.fetch(statement, *values)) is not None:
            return rows
        try:
            async with asyncio.timeout(self.deadline):
                return await self._client.fetch(statement, values)
        except asyncpg.UniqueViolationError as error:
            raise UniqueViolation(error.constraint_name or "") from error
        except _UNFIT as error:
            raise DatabaseUnfit(
                "the database does not have the present schema or does not let us use it; run `gatewatch migrate`"
            ) from error
        except _AWAY as error:
            raise DatabaseUnavailable(f"PostgreSQL did not answer: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close every connection; those that do not close in time are cut."""
        try:
            async with asyncio.timeout(3):
                await self._context.close_connections()
        except TimeoutError:
            self.pool.terminate()


class _Uncounted:
    """Nobody counts the queries."""

    def done(self, *_: object) -> None:
        """Do nothing."""


async def _initialise(context: TortoiseContext, config: dict[str, Any]) -> Client:
    await context.__aenter__()
    await context.init(config=config)
    client = cast("Client", context.connections.get("default"))
    await client.create_connection(with_db=True)  # the pool, that is
    return client
