"""The connection pool: what it lends is sound, and what lies idle goes away."""

from __future__ import annotations

import asyncio
import contextlib
import random
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import asyncpg
import pytest
from mailing import until

from app.errors import DatabaseUnavailable
from app.storage.database import Database, PoolOptions, Statement
from observability.record.meters import PoolMeter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WHO = Statement("who", "SELECT pg_backend_pid() AS pid")
CUT = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE query = 'SELECT pg_sleep(60)' AND state = 'active' AND datname = current_database()
"""
PATIENCE = 60.0


class Wire:
    """A TCP relay to PostgreSQL whose connections can be cut off without a word, as a firewall forgets them."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.accepted = 0
        self.refusing = False

    async def listen(self) -> asyncio.Server:
        """Start on a free port."""
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    def forget(self) -> None:
        """Carry nothing on any open connection any more, in either direction, and close none."""
        for pump in self._pumps:
            pump.cancel()

    def close(self) -> None:
        """Close every connection."""
        self.forget()
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refusing:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(*self._to)
        self._writers += [writer, back]
        for source, sink in ((reader, back), (there, writer)):
            pump = asyncio.get_running_loop().create_task(_carry(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
    sink.close()


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[tuple[Wire, str]]:
    """Relay to the database; give the relay and the URL that goes through it."""
    parts = urlsplit(database_url)
    relay = Wire(str(parts.hostname), int(parts.port or 5432))
    server = await relay.listen()
    port = server.sockets[0].getsockname()[1]
    yield relay, database_url.replace(f":{parts.port}/", f":{port}/")
    relay.close()
    server.close()


@contextlib.asynccontextmanager
async def opened(url: str, **changes: float) -> AsyncIterator[tuple[Database, PoolMeter]]:
    """Open a pool with some options changed."""
    usual = {"size": 2, "max_wait": 3.0, "idle_timeout": 600.0, "validate_after": 30.0, "query_timeout": 5.0}
    meter = PoolMeter("postgresql", 2)
    database = await Database.open(url, PoolOptions(**{**usual, **changes}), meter)  # type: ignore[arg-type] # size is whole
    try:
        yield database, meter
    finally:
        await database.close()


async def test_a_connection_that_died_while_idle_is_found_out_and_replaced(wire: tuple[Wire, str]) -> None:
    """The validation query meets silence, so the caller gets another connection and no error."""
    relay, url = wire
    async with opened(url, validate_after=0.0) as (database, meter):
        [first] = await database.fetch(WHO)
        relay.forget()
        [second] = await database.fetch(WHO)
        assert first["pid"] != second["pid"]
        assert (meter.freeze().in_use, meter.freeze().pending) == (0, 0)


async def test_a_connection_that_was_just_used_is_not_asked_again(wire: tuple[Wire, str]) -> None:
    """Validation costs a round trip only after a connection was idle for a while."""
    relay, url = wire
    async with opened(url, validate_after=30.0, query_timeout=2.0) as (database, _):
        await database.fetch(WHO)
        relay.forget()
        with pytest.raises(DatabaseUnavailable):
            await database.fetch(WHO)
        await database.fetch(WHO)


async def test_an_idle_connection_is_closed_in_time(wire: tuple[Wire, str]) -> None:
    """After the idle timeout the next caller gets a new connection, because the old one is gone."""
    relay, url = wire
    async with opened(url, idle_timeout=2.0) as (database, _):
        await database.fetch(WHO)
        await database.fetch(WHO)
        assert relay.accepted == 1
        pool = database._client._pool
        assert pool
        await until(lambda: pool.get_size() == 0)
        await database.fetch(WHO)
        assert relay.accepted == 2


async def test_a_server_that_is_away_is_told_at_once_and_found_again(wire: tuple[Wire, str]) -> None:
    """A refused connection is an error that says come back, and nothing stays lent."""
    relay, url = wire
    async with opened(url) as (database, meter):
        relay.refusing = True
        for _ in range(5):
            with pytest.raises(DatabaseUnavailable):
                await database.fetch(WHO)
        relay.refusing = False
        assert await database.fetch(WHO)
        assert (meter.freeze().in_use, meter.freeze().pending) == (0, 0)


async def test_what_a_server_in_need_raises_is_worth_another_try(database_url: str) -> None:
    """Full, short of memory, stopping, read-only, or the end of a deadlock: nothing was written, and it is no error of ours."""
    codes = ("40001", "40P01", "53100", "53200", "53300", "57014", "57P01", "57P02", "57P03", "58030", "25006", "55P03")
    async with opened(database_url) as (database, _):
        for code in codes:
            raising = f"DO $$ BEGIN RAISE EXCEPTION 'in need' USING ERRCODE = '{code}'; END $$"
            with pytest.raises(DatabaseUnavailable):
                await database.fetch(Statement(f"raising {code}", raising))


async def test_a_caller_that_leaves_takes_no_connection_with_it(wire: tuple[Wire, str]) -> None:
    """Callers cancelled while they wait or while they query leave the pool as it was."""
    _, url = wire
    slow = Statement("slow", "SELECT pg_sleep(5)")
    async with opened(url) as (database, meter):
        for _ in range(10):
            calls = [asyncio.create_task(database.fetch(slow)) for _ in range(6)]
            await asyncio.sleep(0.02)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        assert await asyncio.gather(*(database.fetch(WHO) for _ in range(4)))
        assert (meter.freeze().in_use, meter.freeze().pending) == (0, 0)
        assert meter.freeze().high_water <= 2


async def test_a_connection_that_dies_while_it_is_lent_is_not_lent_for_ever(database_url: str) -> None:
    """The gauge goes back to nothing when the server ends connections in the middle of queries."""
    slow = Statement("slow", "SELECT pg_sleep(60)")
    sql = await asyncpg.connect(database_url)
    async with opened(database_url, query_timeout=PATIENCE) as (database, meter):
        for _ in range(3):
            calls = [asyncio.create_task(database.fetch(slow)) for _ in range(2)]
            ended = 0
            async with asyncio.timeout(PATIENCE):
                while ended < 2:
                    ended += await sql.fetchval(CUT)
                    await asyncio.sleep(0.02)
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(result) for result in results] == [DatabaseUnavailable] * 2
        assert await database.fetch(WHO)
        assert (meter.freeze().in_use, meter.freeze().pending) == (0, 0)
    await sql.close()


async def test_one_bound_holds_over_waiting_and_asking(wire: tuple[Wire, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a connection, and then for a server that has fallen silent, has the longer time once and not both."""
    relay, url = wire
    async with opened(url, size=1, max_wait=50.0, query_timeout=60.0) as (database, _):
        assert 60.0 < database.deadline < 61.0
        await database.fetch(WHO)
        monkeypatch.setattr(Database, "deadline", 0.5)
        async with database.pool.acquire():
            with pytest.raises(DatabaseUnavailable):
                await database.fetch(WHO)
        relay.forget()
        with pytest.raises(DatabaseUnavailable):
            await database.fetch(WHO)


async def test_a_pool_lends_no_more_than_its_limit_wherever_it_is_moved(database_url: str) -> None:
    """From two to one connection, to four, and back under load: never more are lent, nothing fails, and what is surplus is closed."""
    sleep = Statement("sleep", "SELECT pg_backend_pid() AS pid FROM pg_sleep(0.01)")
    async with opened(database_url, size=2, most=8, max_wait=60.0) as (database, meter):
        for limit in (2, 1, 4, 1, 8, 2):
            under_way = [asyncio.create_task(database.fetch(sleep)) for _ in range(20)]
            await asyncio.sleep(0.01)
            database.pool.resize(limit)
            await until(partial(_lends_at_most, meter, limit))
            under_way += [asyncio.create_task(database.fetch(sleep)) for _ in range(20)]
            most = 0
            while not all(task.done() for task in under_way):
                most = max(most, meter.in_use)
                await asyncio.sleep(0.002)
            assert all(len(task.result()) == 1 for task in under_way)
            assert 1 <= most <= limit
            assert meter.freeze().size == limit
            await until(partial(_has_at_most, database, limit))
        for beyond, limit in ((0, 1), (99, 8)):
            database.pool.resize(beyond)
            assert database.pool.limit == limit


def _lends_at_most(meter: PoolMeter, most: int) -> bool:
    return meter.in_use <= most


def _has_at_most(database: Database, most: int) -> bool:
    return database.pool.get_size() <= most


async def test_a_pool_that_was_made_smaller_lends_nothing_of_the_rest_after_a_cut(wire: tuple[Wire, str]) -> None:
    """Connections that die while they are lent come back to a smaller pool without breaking its limit."""
    relay, url = wire
    async with opened(url, size=4, most=4, max_wait=60.0) as (database, meter):
        lent = [asyncio.create_task(database.fetch(Statement("sleep", "SELECT pg_sleep(60)"))) for _ in range(4)]
        await until(lambda: meter.in_use == 4)
        database.pool.resize(1)
        relay.close()
        assert {type(error) for error in await asyncio.gather(*lent, return_exceptions=True)} == {DatabaseUnavailable}
        pids = await asyncio.gather(*(database.fetch(WHO) for _ in range(5)))
        assert len({rows[0]["pid"] for rows in pids}) == 1
        assert (meter.in_use, meter.pending) == (0, 0)


async def test_a_limit_that_is_moved_without_rest_costs_nobody_anything(database_url: str) -> None:
    """Places that are still being closed are lent again as new ones; callers that leave meanwhile take nothing with them."""
    chance = random.Random(1)  # noqa: S311 - not a secret
    over = False

    async def ask(database: Database) -> None:
        while not over:
            assert len(await database.fetch(WHO)) == 1

    async def leave(database: Database) -> None:
        while not over:
            asking = asyncio.create_task(database.fetch(WHO))
            await asyncio.sleep(chance.random() * 0.002)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async with opened(database_url, size=4, most=4, max_wait=60.0) as (database, meter):
        callers = [asyncio.create_task(call(database)) for call in (*[ask] * 8, *[leave] * 4)]
        for _ in range(300):
            database.pool.resize(chance.randint(1, 4))
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.003)))
        over = True
        await asyncio.gather(*callers)
        database.pool.resize(4)
        await until(lambda: (meter.in_use, meter.pending) == (0, 0))
        places = cast("Any", database.pool)._queue._queue
        assert len(places) == len(set(places)) == 4  # none is lost, and none is there twice
