"""Claims about the embedded PostgreSQL and Redis."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import asyncpg
import psutil
import pytest
import redis.asyncio

from app.embedded import discard, start_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.embedded import Server

STARTER = """
import sys, time
from pathlib import Path
from app.embedded import start_postgres, start_redis
servers = start_postgres(Path(sys.argv[1])), start_redis()
print(*(server.pid for server in servers), flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder for a PostgreSQL; whatever was kept for it is gone afterwards."""
    yield tmp_path / "kept"
    discard(tmp_path / "kept")


async def _fetch(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_postgres_listens_on_loopback_with_a_password(postgres: Server) -> None:
    """The embedded PostgreSQL is reached over 127.0.0.1 alone, by no socket file, and never without the password."""
    assert await _fetch(postgres.url, "SHOW listen_addresses") == "127.0.0.1"
    assert await _fetch(postgres.url, "SHOW unix_socket_directories") == ""
    assert await _fetch(postgres.url, "SHOW password_encryption") == "scram-sha-256"
    assert (
        await _fetch(postgres.url, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'") == 0
    )
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url, password="guess")
    listening = [each for each in psutil.Process(postgres.pid).net_connections() if each.status == psutil.CONN_LISTEN]
    assert [each.laddr.ip for each in listening] == ["127.0.0.1"]


async def test_postgres_keeps_what_it_confirmed(postgres: Server) -> None:
    """The embedded PostgreSQL is no toy: it waits for the disk, in UTF-8, and counts its statements."""
    assert await _fetch(postgres.url, "SHOW fsync") == "on"
    assert await _fetch(postgres.url, "SHOW synchronous_commit") == "on"
    assert await _fetch(postgres.url, "SHOW server_encoding") == "UTF8"
    assert await _fetch(postgres.url, "SHOW data_checksums") == "on"
    assert isinstance(await _fetch(postgres.url, "SELECT count(*) FROM pg_stat_statements"), int)


async def test_redis_keeps_nothing_and_evicts_only_what_expires(redis: Server) -> None:
    """The embedded Redis writes nothing to disk, is bounded, and gives up keys with a TTL only."""
    client = _client(redis.url)
    async with client:
        settings = await client.config_get()
    assert settings["save"] == ""
    assert settings["appendonly"] == "no"
    assert settings["maxmemory"] == str(256 << 20)
    assert settings["maxmemory-policy"] == "volatile-lru"
    assert settings["bind"] == "127.0.0.1"


def test_password_is_private(folder: Path) -> None:
    """Nobody else may read the password of the database, and no argument of a process shows it."""
    server = start_postgres(folder)
    with contextlib.closing(_Stopped(server)):
        password = (folder / "password").read_text().strip()
        assert (folder / "password").stat().st_mode & 0o777 == 0o600
        assert f":{password}@" in server.url
        shown = [process.cmdline() for process in psutil.Process(os.getpid()).children(recursive=True)]
        assert not any(password in argument for arguments in shown for argument in arguments)


async def test_pid_file_naming_a_stranger_does_not_matter(folder: Path) -> None:
    """A pid file left by a crash, whose number now belongs to somebody else, neither blocks a start nor hurts them."""
    server = start_postgres(folder)
    os.kill(server.pid, signal.SIGKILL)
    server.wait(60)
    pid_file = folder / "data" / "postmaster.pid"
    rest = pid_file.read_text().partition("\n")[2]
    pid_file.write_text(f"{os.getpid()}\n{rest}")
    server = start_postgres(folder)
    assert await _fetch(server.url, "SELECT 1") == 1
    server.stop()


def test_servers_end_with_their_starter(folder: Path) -> None:
    """A starter that is SIGKILLed leaves no server behind."""
    with subprocess.Popen(  # noqa: S603 - this file's own program
        [sys.executable, "-c", STARTER, str(folder)], stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout is not None
        servers = [psutil.Process(int(pid)) for pid in starter.stdout.readline().split()]
        starter.kill()
    _, alive = psutil.wait_procs(servers, timeout=60)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_half_made_cluster_is_made_anew(folder: Path) -> None:
    """A first start that was cut off is no obstacle to the next."""
    (folder / "data.new").mkdir(parents=True)
    (folder / "data.new" / "PG_VERSION").write_text("18\n")
    (folder / "password").write_text("of the first try\n")
    server = start_postgres(folder)
    server.stop()
    assert (folder / "data" / "PG_VERSION").exists()
    assert not (folder / "data.new").exists()


class _Stopped:
    """Something to close that stops a server."""

    def __init__(self, server: Server) -> None:
        self.close = server.stop


def _client(url: str) -> redis.asyncio.Redis:
    return redis.asyncio.from_url(url, decode_responses=True)
