"""Redis as a cache that is never believed too long.

Values are filled under leases ("Scaling Memcache at Facebook", NSDI 2013): a reader that misses takes a lease, and its
fill is accepted only while that lease stands; a delete removes value and lease together, so a reader that was slow
cannot put back what a writer has just made stale.

Every value and every lease carries the identity of the server that took it. Whatever a server that was restarted or
promoted still holds from before has another identity before it, and counts as missing.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from app.errors import CacheUnavailable
from app.storage.batch import Batch, into
from app.storage.breaker import Breaker
from app.storage.identity import RECHECK, greet, server_of
from app.storage.line import LineKeeper

if TYPE_CHECKING:
    from app.storage.batch import Answered
    from app.storage.line import Line
    from app.storage.script import Script

_SCRIPTS = Path(__file__).parent / "lua"
FILL = (_SCRIPTS / "fill.lua").read_text()
RELEASE = (_SCRIPTS / "release.lua").read_text()
LEASE_SECONDS = 10
"""Longer than a pool wait and a query together may take by default; a lease that runs out costs one refused fill."""

MOST_CONNECTIONS = 8
"""Round trips of one worker that may be under way at once, besides those of the line; the next one waits, within its own timeout."""

MOST_KEYS = 512
"""Keys after which a batch is sent without waiting for the rest of the loop's tick."""

KEYS_A_DELETE = 500


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to fill ``key``, given by the server ``server``."""

    key: str
    server: bytes
    token: bytes


@dataclass(frozen=True, slots=True)
class Fill:
    """A value on its way into the cache under a lease, to live ``ttl`` seconds; None gives the lease back."""

    lease: Lease
    value: bytes | None
    ttl: float = 0.0


class CommandMeter(Protocol):
    """What round trips tell whoever counts. Times are those of ``time.perf_counter``, ``items`` are keys or commands.

    A name is that of the command, after ``PIPELINE`` when there are several. An error is a kind of exception or, in
    capitals, the code by which Redis refused.
    """

    def done(self, name: str, begin: float, end: float, items: int = 1, error: str = "") -> None:
        """A round trip ended."""

    def waited(self, name: str, begin: float, end: float, items: int = 1, error: str = "") -> None:
        """The running task waited for one, which others may share, from its asking to the answer."""


class _Uncounted:
    """Nobody counts."""

    def done(self, *_: object) -> None:
        """Do nothing."""

    waited = done


_Command = tuple[Any, ...]
_Commands = Callable[[bytes], Sequence[_Command]]
"""Commands that depend on the identity of the server they are going to."""


def lease_key(key: str) -> str:
    """Name a key's lease; the braces keep both in one slot of a cluster."""
    return f"lease:{{{key}}}"


class Cache:
    """Batched reads, leases, fills and deletes. Every method raises CacheUnavailable when Redis cannot answer in time."""

    def __init__(
        self,
        connect: Callable[[], AbstractConnection],
        *,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
        meter: CommandMeter | None = None,
    ) -> None:
        self._meter = meter or _Uncounted()
        self._connect = connect
        self._timeout = timeout
        self._breaker = Breaker(failures=3, pause=1.0, clock=clock)
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)
        self._idle: list[AbstractConnection] = []
        self._lines = LineKeeper(connect, timeout=timeout)
        self._batch: Batch | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self.round_trips = 0
        self.failures = 0
        self.in_doubt = asyncio.Event()
        """Set after a failure, or a delete that was refused: so nothing cached is believed until what was missed has been deleted."""

    @classmethod
    def at(cls, url: str, *, timeout: float, meter: CommandMeter | None = None) -> Self:
        """Prepare a cache on the server at ``url``. ``timeout`` bounds each round trip in seconds."""
        options: dict[str, Any] = {**parse_url(url)}
        kind = options.pop("connection_class", Connection)
        options.update(
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            protocol=2,
            redis_connect_func=greet,
            driver_info=None,
        )
        return cls(lambda: kind(**options), timeout=timeout, meter=meter)

    def trust(self, failures: int) -> None:
        """Believe what is cached again, unless it has failed anew since there were so many ``failures``."""
        if failures == self.failures:
            self.in_doubt.clear()

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the value of each key, or None. All reads of one loop tick go out as one MGET."""
        answer: asyncio.Future[list[bytes | None]] = asyncio.get_running_loop().create_future()
        begin = time.perf_counter()
        batch = self.want(keys, into(answer))
        try:
            values = await answer
        except CacheUnavailable as error:
            self._meter.waited("MGET", begin, batch.ended, 1, _kind(error))
            raise
        self._meter.waited("MGET", begin, batch.ended)
        return values

    def want(self, keys: Sequence[str], answered: Answered) -> Batch:
        """Read without waiting: ``answered`` is called later, once."""
        if self.in_doubt.is_set():
            raise CacheUnavailable("what was missed while Redis was away has to be deleted first")
        batch = self._batch
        if batch is None:
            batch = self._batch = Batch()
            asyncio.get_running_loop().call_soon(self._send_batch)
        batch.add(keys, answered)
        if len(batch.keys) >= MOST_KEYS:
            self._send_batch()
        return batch

    async def lease(self, keys: Sequence[str]) -> list[Lease | None]:
        """Ask for a lease on each key; None where another reader holds one."""
        token = secrets.token_hex(16).encode()
        commands = [("SET", lease_key(key), token, "NX", "PX", LEASE_SECONDS * 1000) for key in keys]
        server, replies = await self._ask("SET", len(commands), lambda _: commands)
        return [Lease(key, server, token) if reply else None for key, reply in zip(keys, replies, strict=True)]

    async def fill(self, fills: Sequence[Fill]) -> list[bool]:
        """Put values whose leases still stand, give back leases without a value; say of each whether it was done."""
        answers = [False] * len(fills)

        def commands(server: bytes) -> list[_Command]:
            # A lease from before a failover says nothing about deletes that the new server never saw.
            return [_fill_command(fill, server) for fill in fills if fill.lease.server == server]

        server, replies = await self._ask("EVAL", len(fills), commands)
        accepted = iter(replies)
        for place, fill in enumerate(fills):
            if fill.lease.server == server:
                answers[place] = next(accepted) == 1
        return answers

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove values together with their leases, so that no fill under way can bring them back."""
        try:
            for start in range(0, len(keys), KEYS_A_DELETE):
                commands = [("DEL", key, lease_key(key)) for key in keys[start : start + KEYS_A_DELETE]]
                await self._ask("DEL", len(commands), lambda _, commands=commands: commands)  # type: ignore[misc] # mypy does not see the default
        except CacheUnavailable:  # a server that refuses deletes (NOREPLICAS, MISCONF) still answers reads
            self._doubt()
            raise

    async def run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[str | int], *, count: int
    ) -> list[Any]:
        """Run a Lua script in one round trip and return what it does, a list of ``count``. It may run twice, as any command may."""
        asked = (len(keys), *keys, *arguments)
        if line := self._line():
            reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self.round_trips += 1
            begin, failure = time.perf_counter(), ""
            name = script.ask(line, asked, count, reply)
            try:
                answer = await reply
                failure = "" if answer is not None else "refused"
            except TimeoutError as error:
                failure = type(error).__name__
                raise self._failed(error) from error
            finally:
                now = time.perf_counter()
                self._meter.done(name, begin, now, 1, failure)
                self._meter.waited(name, begin, now, 1, failure)
            if answer is not None:
                self._breaker.succeeded()
                return cast("list[Any]", answer)
        _, replies = await self._ask("EVAL", 1, lambda _: [("EVAL", script.text, *asked)])
        return cast("list[Any]", replies[0])

    async def ping(self) -> None:
        """Raise CacheUnavailable unless Redis answers."""
        await self._ask("PING", 1, lambda _: [("PING",)])

    async def close(self) -> None:
        """Wait for what is being sent and close the connections."""
        await self._lines.close()
        if self._sending:
            await asyncio.wait(self._sending, timeout=self._timeout)
        await self._drop_idle()

    async def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)

    def _send_batch(self) -> None:
        batch, self._batch = self._batch, None
        if batch is None:  # it was full before the tick was over
            return
        line = self._line()
        if line is None:
            self._ask_for(batch)
            return
        self.round_trips += 1
        packed = hiredis.pack_command(("MGET", *batch.keys))  # type: ignore[arg-type] # it takes any number
        sent = time.perf_counter()
        answered = functools.partial(self._answered, batch, sent)
        line.ask(packed, len(batch.keys), answered, functools.partial(self._line_broke, batch, sent))

    def open(self) -> None:
        """Begin to open the line that reads go by, so that the first of them need not go the ordinary way."""
        self._line()

    def _line(self) -> Line | None:
        return None if self._breaker.is_open else self._lines.line()

    def _answered(self, batch: Batch, sent: float, server: bytes, values: list[bytes | None]) -> None:
        self._meter.done("MGET", sent, time.perf_counter(), len(values))
        self._breaker.succeeded()
        batch.answer(server, values)

    def _line_broke(self, batch: Batch, sent: float, error: Exception) -> None:
        if isinstance(error, TimeoutError):
            self._meter.done("MGET", sent, time.perf_counter(), len(batch.keys), type(error).__name__)
            batch.refuse(self._failed(error))
        else:  # as with any connection that the server closed, the question is asked once more
            self._ask_for(batch)

    def _ask_for(self, batch: Batch) -> None:
        task = asyncio.get_running_loop().create_task(self._read_batch(batch))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _read_batch(self, batch: Batch) -> None:
        try:
            server, replies = await self._round_trip("MGET", len(batch.keys), lambda _: [("MGET", *batch.keys)])
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for each of these answers
            batch.refuse(error)
        else:
            batch.answer(server, replies[0])

    async def _ask(self, name: str, count: int, commands: _Commands) -> tuple[bytes, list[Any]]:
        """Send up to ``count`` commands of a name in one round trip, for which the running task waits."""
        if count > 1:
            name = f"PIPELINE {name}"
        begin, error = time.perf_counter(), ""
        try:
            return await self._round_trip(name, count, commands)
        except CacheUnavailable as failure:
            error = _kind(failure)
            raise
        finally:
            self._meter.waited(name, begin, time.perf_counter(), count, error)

    async def _round_trip(self, name: str, items: int, commands: _Commands) -> tuple[bytes, list[Any]]:
        """Send commands on one connection; return its server's identity and the replies."""
        if not self._breaker.allows():
            raise CacheUnavailable("Redis is being left alone for a moment after failures in a row")
        begin, failure = time.perf_counter(), ""
        try:
            async with asyncio.timeout(self._timeout), self._slots:
                begin = time.perf_counter()
                server, replies = await self._exchange(commands)
            failure = next((_code(reply) for reply in replies if isinstance(reply, ResponseError)), "")
        except asyncio.CancelledError:
            failure = "CancelledError"
            raise
        except (TimeoutError, OSError, RedisError) as error:
            failure = type(error).__name__
            raise self._failed(error) from error
        finally:
            self._meter.done(name, begin, time.perf_counter(), items, failure)
        self._breaker.succeeded()
        for reply in replies:
            if isinstance(reply, ResponseError):  # out of memory, read-only: it refuses, but it answers
                raise CacheUnavailable(f"Redis refused: {reply}") from reply
        return server, replies

    def _failed(self, error: Exception) -> CacheUnavailable:
        self._breaker.failed()
        self._doubt()
        return CacheUnavailable(f"Redis did not answer: {type(error).__name__}")

    def _doubt(self) -> None:
        self.failures += 1
        self.in_doubt.set()

    async def _exchange(self, commands: _Commands) -> tuple[bytes, list[Any]]:
        if self._idle:
            try:
                return await self._converse(self._idle.pop(), commands)
            except (OSError, RedisConnectionError):
                # The server closed it while it lay idle, most likely with all others. Each command may run twice:
                # a lease or fill is refused the second time, a delete has nothing left to do.
                await self._drop_idle()
        return await self._converse(self._connect(), commands)

    async def _converse(self, connection: AbstractConnection, commands: _Commands) -> tuple[bytes, list[Any]]:
        sound = False
        try:
            if not connection.is_connected:
                await connection.connect()
            server = server_of(connection)
            sending = commands(server.digest)
            recheck = bool(sending) and server.is_due
            if sending:
                self.round_trips += 1
                packed = [*sending, RECHECK] if recheck else sending
                await connection.send_packed_command(connection.pack_commands(packed), check_health=False)
            replies = [await _reply(connection) for _ in sending]
            if recheck:
                server.recheck(await connection.read_response(disable_decoding=True))
            sound = True
        finally:
            if sound:
                self._idle.append(connection)
            else:  # a reply that is still on its way would answer the next question
                await connection.disconnect(nowait=True)
        return server.digest, replies


def _kind(failure: CacheUnavailable) -> str:
    cause = failure.__cause__
    return _code(cause) if isinstance(cause, ResponseError) else type(cause or failure).__name__


def _code(refusal: ResponseError) -> str:
    return refusal.status_code or type(refusal).__name__


async def _reply(connection: AbstractConnection) -> Any:
    """Read one reply. An error reply is returned like any other, so that those behind it are read too."""
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


def _fill_command(fill: Fill, server: bytes) -> _Command:
    key = fill.lease.key
    if fill.value is None:
        return ("EVAL", RELEASE, 1, lease_key(key), fill.lease.token)
    milliseconds = max(1, int(fill.ttl * 1000))
    return ("EVAL", FILL, 2, key, lease_key(key), fill.lease.token, server + fill.value, milliseconds)


def address_of(url: str) -> tuple[str, str, int]:
    """Return the number of the database that a URL is of, and its server's host and port, or the path of its socket."""
    options = parse_url(url)
    path = options.get("path")
    address, port = (path, 0) if path else (options.get("host", "localhost"), options.get("port", 6379))
    return str(options.get("db", 0)), address, port


async def eviction_warning(redis: Redis) -> str | None:
    """Say what is wrong with the server's eviction policy; None when nothing is, or when it cannot be asked."""
    try:
        policy = (await redis.info("memory")).get("maxmemory_policy", "")
    except (RedisError, OSError):
        return None
    if policy.startswith("volatile-"):
        return None
    return (
        f"Redis has maxmemory-policy {policy}: with allkeys-* it evicts leases and limits like anything else, with "
        "noeviction it refuses what is new once it is full; set volatile-lru"
    )


def telemetry_client(url: str, *, timeout: float) -> Redis:
    """Make the client that telemetry publishes through: its own connections, bounded waits, no retries of its own."""
    return Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        max_connections=4,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
    )
