"""Settings of the fleet, changed while it serves: workers of one process, on the run's Redis."""

from __future__ import annotations

import asyncio
import contextlib
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest
from mailing import until
from redis.asyncio import Redis

from app.embedded import start_redis
from app.settings import Settings
from app.storage.cache import telemetry_client
from app.storage.overrides import KEYS, Change, Document
from app.tuning.names import GIVEN, RUN
from app.tuning.parts import Tuning
from console.ports import NoLoad
from console.tuning import SettingRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from running import Serve, Service

    from app.embedded import Server

    Tune = Callable[..., AbstractAsyncContextManager[Tuning]]


@pytest.fixture
async def tune(redis: Server, database_url: str) -> AsyncIterator[Tune]:
    """Return a function that lets a worker of a run be tuned."""

    @contextlib.asynccontextmanager
    async def opened(service: Service, run: str, url: str = redis.url) -> AsyncIterator[Tuning]:
        client = telemetry_client(url, timeout=5)
        settings = Settings(database_url=database_url, redis_url=url, workers=1)
        tuning = await Tuning.open(settings, service.parts, service.telemetry, client, NoLoad(), {RUN: run, GIVEN: ""})
        try:
            yield tuning
        finally:
            await tuning.close()
            await client.aclose()

    async with Redis.from_url(redis.url) as client:
        await client.delete(*KEYS)
        yield opened
        await client.delete(*KEYS)


def _values(tuning: Tuning) -> dict[str, str]:
    return {setting.name: setting.value for setting in tuning.live.settings()}


async def test_a_change_reaches_every_worker_and_is_undone_everywhere(
    serve: Serve, tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pool, caches, coalescing, hashing and sampling of another worker follow at one of its next two looks; each undo brings back what was.

    It looks once a second.
    """
    wanted = {
        "pool_size": "1",
        "pool_max_wait": "0.5",
        "cache_session": "off",
        "cache_profile_ttl": "7",
        "coalescing": "off",
        "hash_threads": "3",
        "sampling": "0.25",
    }
    async with serve() as one, serve() as two, tune(one, "a") as first, tune(two, "b") as second:
        before = _values(first)
        assert before == _values(second)
        looks: list[float] = []
        look = second.live._overrides.look

        async def counted() -> bool:
            looks.append(time.monotonic())
            return await look()

        monkeypatch.setattr(second.live._overrides, "look", counted)
        for name, value in {"pool_size": "2", "cache_profile_ttl": "8", "pool_max_wait": "2"}.items():
            await first.live.change(name, value)
            begun = len(looks)
            await until(lambda: _values(first) == _values(second))
            assert len(looks) - begun <= 2
        await until(lambda: any(later - earlier < 1.5 for earlier, later in pairwise(looks)))
        for name, value in wanted.items():
            changed = _values(first)
            change = await first.live.change(name, value)
            assert (change.before, change.after) == (changed[name], value)
            assert _values(first)[name] == value
        await until(lambda: wanted.items() <= _values(second).items())
        assert (two.parts.database.pool.limit, two.parts.database.pool.max_wait) == (1, 0.5)
        assert two.telemetry.recorder.snapshot().pools[0].size == 1
        assert not two.parts.sessions.session.on
        assert two.parts.sessions.profile.most_seconds == 7
        assert not two.parts.aside.coalescing
        assert two.parts.passwords.hashing.threads == 3
        assert all(setting.changed for setting in second.live.settings() if setting.name in wanted)
        for change in await second.live.changes():
            await second.live.undo(change.number)
        await until(lambda: _values(first) == before == _values(second))
        told = await first.live.changes()
        assert [change.undone for change in told] == [False] * 10 + [True] * 10
        assert [change.number for change in told] == list(range(20, 0, -1))


async def test_what_cannot_be_is_refused_in_a_sentence(serve: Serve, tune: Tune) -> None:
    """Unknown settings, values past their bounds or of no kind, changes that change nothing, and second undos change nothing."""
    async with serve() as one, tune(one, "a") as tuning:
        before = _values(tuning)
        for name, value in (
            ("pool_size", "0"),
            ("pool_size", "1000000"),
            ("pool_size", "1.5"),
            ("pool_size", ""),
            ("pool_max_wait", "nan"),
            ("pool_max_wait", "inf"),
            ("sampling", "-0.1"),
            ("coalescing", "perhaps"),
            ("coalescing", "on"),
            ("DATABASE_URL", "postgres://elsewhere"),
        ):
            with pytest.raises(SettingRefused, match=r"\.$"):
                await tuning.live.change(name, value)
        assert await tuning.live.changes() == []
        change = await tuning.live.change("pool_size", "5")
        later = await tuning.live.change("pool_size", "6")
        with pytest.raises(SettingRefused, match="overtaken"):
            await tuning.live.undo(change.number)
        await tuning.live.undo(later.number)
        with pytest.raises(SettingRefused, match="already"):
            await tuning.live.undo(later.number)
        await tuning.live.undo(change.number)
        assert _values(tuning) == before
        with pytest.raises(SettingRefused, match="not remembered"):
            await tuning.live.undo(99)


async def test_changes_end_with_the_fleet_and_not_with_a_worker(serve: Serve, tune: Tune) -> None:
    """A worker that replaces another has the changes at once; one of a later life, on a Redis that kept them, has none."""
    async with serve() as one:
        async with tune(one, "a") as tuning:
            started = _values(tuning)["pool_size"]
            await tuning.live.change("pool_size", "5")
        one.parts.database.pool.resize(10)
        async with tune(one, "a") as replaced:
            assert _values(replaced)["pool_size"] == "5"
        async with serve() as two, tune(two, "later") as fresh:
            await asyncio.sleep(2.5)
            assert _values(fresh)["pool_size"] == started
            assert await fresh.live.changes() == []
            await asyncio.sleep(1.5)
            assert (await fresh.live.change("coalescing", "off")).number == 1
            assert (_values(fresh)["coalescing"], _values(fresh)["pool_size"]) == ("off", started)


async def test_a_redis_that_loses_everything_is_told_again(serve: Serve, tune: Tune, redis: Server) -> None:
    """What is in force stays, a worker gives it back, and one that comes later finds it."""
    async with serve() as one, serve() as two, tune(one, "a") as first, Redis.from_url(redis.url) as client:
        await first.live.change("pool_size", "5")
        await client.delete(*KEYS)
        await until(lambda: _values(first)["pool_size"] == "5")
        async with tune(two, "b") as second:
            await until(lambda: _values(second)["pool_size"] == "5")
            assert [change.after for change in await second.live.changes()] == ["5"]


async def test_without_redis_nothing_can_be_changed_and_nothing_is_lost(serve: Serve, tune: Tune) -> None:
    """A Redis that is away is told as such, settings in force stay, and when it is back, empty, they can be changed on."""
    server = start_redis()
    try:
        async with serve() as one, tune(one, "a", server.url) as tuning:
            await tuning.live.change("pool_size", "5")
            await asyncio.to_thread(server.stop, 5)
            await until(tuning.live.refusal)
            with pytest.raises(SettingRefused, match="Redis is away"):
                await tuning.live.change("pool_size", "6")
            assert _values(tuning)["pool_size"] == "5"
            await asyncio.to_thread(server.restart)
            await until(lambda: tuning.live.refusal() is None)
            assert (await tuning.live.change("pool_size", "6")).before == "5"
    finally:
        server.stop(5)


async def test_settings_that_nobody_of_ours_wrote_keep_no_worker_from_starting(
    serve: Serve, tune: Tune, redis: Server
) -> None:
    """A document that cannot be read changes nothing, for a worker that holds it and for one that starts, and the next change replaces it."""
    async with serve() as one, serve() as two, tune(one, "a") as first, Redis.from_url(redis.url) as client:
        started = _values(first)["pool_size"]
        await first.live.change("pool_size", "5")
        for version, text in enumerate((b"", b"\xff", b"[]", b'{"values":{"a":7}}', b'{"changes":[{"number":""}]}'), 9):
            await client.hset(KEYS[0], mapping={"version": version, "text": text})
            async with tune(two, "a") as second:
                assert _values(second)["pool_size"] == started
        await client.hdel(KEYS[0], "text")
        async with tune(two, "a") as second:
            await until(lambda: second.live._overrides.settled)
            assert _values(first)["pool_size"] == "5"
            await second.live.change("coalescing", "off")
            await until(lambda: _values(first)["coalescing"] == "off")


async def test_values_that_nobody_could_have_set_are_not_put_in_force(serve: Serve, tune: Tune, redis: Server) -> None:
    """Bounds hold for what is taken over, too; a change of another version's setting is told and cannot be taken back here."""
    values = {
        "pool_size": "1000000",
        "pool_max_wait": "inf",
        "sampling": "nan",
        "hash_threads": "-1",
        "coalescing": "?",
    }
    change = Change(1, 0.0, "of_another_version", "1", "2")
    document = msgspec.json.encode(Document({**values, "DATABASE_URL": "x", "cache_session_ttl": "60"}, (change,)))
    async with serve() as one, tune(one, "a") as first, Redis.from_url(redis.url) as client:
        before = _values(first)
        await first.live.change("cache_session_ttl", "70")
        await client.hset(KEYS[0], mapping={"version": 9, "text": document})
        await until(lambda: _values(first)["cache_session_ttl"] == "60")
        assert _values(first) == {**before, "cache_session_ttl": "60"}
        assert [each.label for each in await first.live.changes()] == ["of_another_version"]
        with pytest.raises(SettingRefused, match="no such setting"):
            await first.live.undo(1)


async def test_of_changes_at_the_same_moment_none_is_lost(serve: Serve, tune: Tune) -> None:
    """Two workers that change different settings at once both have their way; who was overtaken looks again first."""
    async with serve() as one, serve() as two, tune(one, "a") as first, tune(two, "a") as second:
        for n in range(10):
            await asyncio.gather(
                first.live.change("pool_size", str(3 + n % 2)), second.live.change("hash_threads", str(3 + n % 2))
            )
        changes = await (
            first if first.live._overrides._version > second.live._overrides._version else second
        ).live.changes(50)
        assert [change.number for change in changes] == list(range(20, 0, -1))
