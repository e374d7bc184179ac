"""The Tortoise engine of the service: asyncpg's pool with a bounded wait, validated connections and a meter.

Tortoise takes the name of this module as an engine and asks it for ``client_class``.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol, cast

import asyncpg
from asyncpg.pool import Pool, PoolConnectionProxy
from tortoise.backends.asyncpg.client import AsyncpgDBClient

from app.errors import DatabaseUnavailable, PoolExhausted
from app.storage.limit import PoolLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.storage.database import Statement

VALIDATION_QUERY = "SELECT 1"
VALIDATION_TIMEOUT = 1.0
"""Seconds after which a connection that does not answer the validation query is given up."""

RELEASE_TIMEOUT = 0.5
"""Seconds that returning a connection may take."""


class PoolMeter(Protocol):
    """What the pool tells whoever counts."""

    size: int
    opened: int

    def enqueue(self) -> None:
        """A caller begins to wait."""

    def lend(self, waited: float) -> None:
        """A caller got a connection after so many seconds."""

    def give_up(self, waited: float, *, timed_out: bool) -> None:
        """A caller leaves without one."""

    def give_back(self, used: float) -> None:
        """A connection was returned after so many seconds."""

    def created(self, seconds: float) -> None:
        """A connection was made in so many seconds."""


class QueryMeter(Protocol):
    """What queries tell whoever counts."""

    def done(
        self, name: str, sql: str, begin: float, end: float, rows: int = 0, error: str = "", code: str = ""
    ) -> None:
        """A query that the running task waited for ended; times are those of ``time.perf_counter``, ``code`` is an SQLSTATE."""


class TimedConnection(asyncpg.Connection):
    """A connection that remembers when it was last returned (monotonic seconds)."""

    idle_since: float = 0.0

    @property
    def is_at_rest(self) -> bool:
        """Whether it is open, and no query is being cancelled on it."""
        protocol: Any = getattr(self, "_protocol", None)  # there is no public way to ask
        return not self.is_closed() and not protocol._is_cancelling()  # noqa: SLF001 - the same

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's signature
        """Skip asyncpg's reset query: no session state is ever changed, and it would cost a round trip a query."""
        if self.is_in_transaction():
            await super().reset(timeout=timeout)


class MeteredPool(Pool):
    """A pool in which nobody waits longer than ``max_wait`` seconds, and which lends ``limit`` connections at most.

    Both can be changed at any time, the limit by ``resize``, from 1 to ``max_size``.
    A connection that was idle for ``validate_after`` seconds answers ``SELECT 1`` before it is lent; one that does not
    is closed and another is tried within the same wait.
    """

    def __init__(
        self,
        *,
        meter: PoolMeter,
        queries: QueryMeter,
        limit: int,
        max_wait: float,
        validate_after: float,
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        super().__init__(None, setup=self._validate, **options)
        self._meter = meter
        self.queries = queries
        self._limit = PoolLimit(self, limit)
        self.max_wait = max_wait
        self._validate_after = validate_after
        self._clock = clock
        self._attempts = options["max_size"] + 1
        self._lent: dict[PoolConnectionProxy[Any], float] = {}
        """When each was lent."""

    def resize(self, limit: int) -> None:
        """Lend so many connections at most; those that are lent beyond it are closed as they come back."""
        self._limit.move(limit)
        self._meter.size = self._limit.limit
        self._meter.opened = self.get_size()

    @property
    def limit(self) -> int:
        """How many connections are lent at most."""
        return self._limit.limit

    async def _validate(self, connection: PoolConnectionProxy[Any]) -> None:
        if self._is_stale(cast("TimedConnection", connection)):
            await connection.execute(VALIDATION_QUERY, timeout=VALIDATION_TIMEOUT)

    async def _acquire(self, timeout: float | None) -> PoolConnectionProxy[Any]:  # noqa: ASYNC109 - asyncpg's signature
        del timeout  # every caller has the same bound
        meter, begin = self._meter, self._clock()
        meter.enqueue()
        try:
            connection = await (self._next() if self._lies_ready() else self._next_sound())
        except BaseException as error:
            meter.give_up(self._clock() - begin, timed_out=isinstance(error, PoolExhausted))
            raise
        now = self._lent[connection] = self._clock()
        meter.lend(now - begin)
        meter.opened = self.get_size()
        return connection

    async def _get_new_connection(self) -> Any:
        begin = self._clock()
        connection = await super()._get_new_connection()  # type: ignore[misc] # private there
        self._meter.created(self._clock() - begin)
        return connection

    def _lies_ready(self) -> bool:
        """Say whether the connection that is next in turn can be had without waiting: it is open, and need not be validated."""
        pool: Any = self
        for holder in reversed(pool._queue._queue):  # noqa: SLF001 - asyncpg lends the open one that was returned last
            if holder.is_connected():
                return not self._is_stale(holder._con)  # noqa: SLF001 - there is no public way to ask
        return False

    def _is_stale(self, connection: TimedConnection) -> bool:
        return bool(connection.idle_since) and self._clock() - connection.idle_since > self._validate_after

    async def _next(self) -> PoolConnectionProxy[Any]:
        return cast("PoolConnectionProxy[Any]", await super()._acquire(None))  # type: ignore[misc] # private there

    async def _next_sound(self) -> PoolConnectionProxy[Any]:
        limit = asyncio.timeout(self.max_wait)
        try:
            async with limit:
                for _ in range(self._attempts):
                    idle = self.get_idle_size()
                    try:
                        return await self._next()
                    except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError):
                        if not idle:  # it was a new connection that failed: the server is away
                            raise
                raise DatabaseUnavailable("no database connection was sound")
        except TimeoutError:
            if limit.expired():
                raise PoolExhausted(f"no database connection became free within {self.max_wait:g} s") from None
            raise

    async def release(self, connection: PoolConnectionProxy[Any], *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's signature
        """Take a connection back. It counts as returned at once: the next caller may have it before we hear of it."""
        del timeout
        # asyncpg forgets a connection that died while it was lent; we must not.
        if (lent := self._lent.pop(connection, None)) is not None:
            self._meter.give_back(self._clock() - lent)
        if (held := getattr(connection, "_con", None)) is not None:  # there is no public way to ask
            held.idle_since = self._clock()
            if held.is_at_rest:
                # Then nothing waits for the server, and none of the tasks is needed by which asyncpg outlives its caller.
                held._on_release()  # noqa: SLF001 - what its release does, but for the tasks
                await connection._holder.release(RELEASE_TIMEOUT)  # noqa: SLF001 - the same
                self._limit.settle()
                return
        # A query that was given up is being cancelled over a connection of its own, which a frozen server never
        # answers; past this bound the connection is cut instead.
        giving = asyncio.ensure_future(super().release(connection, timeout=RELEASE_TIMEOUT))
        giving.add_done_callback(_told)
        await asyncio.shield(giving)
        self._limit.settle()
        self._meter.opened = self.get_size()


def _told(giving: asyncio.Future[None]) -> None:
    """Take note of how a return ended, also when nobody waits for it any more: else asyncio would complain of it."""
    if not giving.cancelled():
        giving.exception()


class Client(AsyncpgDBClient):
    """Tortoise's client on a MeteredPool."""

    async def create_pool(self, **options: Any) -> Pool:
        """Open the pool with the options that the configuration carries."""
        pool = MeteredPool(
            connection_class=TimedConnection,
            record_class=asyncpg.Record,
            max_queries=50_000,
            **{name: value for name, value in options.items() if name != "connection_class"},
        )
        await pool
        pool.resize(pool.limit)
        return pool

    async def fetch(self, statement: Statement, values: Sequence[Any]) -> list[dict[str, Any]]:
        """Run a statement and return its rows, or raise what asyncpg or the pool raises: Tortoise's ways to it cost as much again."""
        pool = cast("MeteredPool | None", self._pool)
        if pool is None:
            raise asyncpg.InterfaceError("the pool is closed")
        async with pool.acquire() as connection:
            return [dict(row) for row in await _timed(connection, statement, values, pool.queries)]


async def _timed(
    connection: PoolConnectionProxy[Any], statement: Statement, values: Sequence[Any], meter: QueryMeter
) -> list[asyncpg.Record]:
    begin = time.perf_counter()
    try:
        rows = await connection.fetch(statement.sql, *values)
    except BaseException as error:
        code = getattr(error, "sqlstate", None) or ""
        meter.done(statement.name, statement.sql, begin, time.perf_counter(), 0, type(error).__name__, code)
        raise
    meter.done(statement.name, statement.sql, begin, time.perf_counter(), len(rows))
    return rows


client_class = Client
