"""Claims about telling whether named servers can be used."""

import asyncio
import socket

import pytest

from app.launcher import LauncherError
from app.launcher.reach import check_postgres, check_redis


@pytest.fixture
def nobody() -> str:
    """Return an address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def test_refused_postgres_shows_no_password(nobody: str) -> None:
    """A PostgreSQL that is not there is named by its address; the password is not shown."""
    with pytest.raises(LauncherError, match=f"PostgreSQL at {nobody} cannot be used: connection refused") as caught:
        await check_postgres(f"postgres://someone:hunter2@{nobody}/db")
    assert "hunter2" not in str(caught.value)


async def test_refused_redis_shows_no_password(nobody: str) -> None:
    """A Redis that is not there is named by its address; the password is not shown."""
    with pytest.raises(LauncherError, match=f"Redis at {nobody} cannot be used: connection refused") as caught:
        await check_redis(f"redis://:hunter2@{nobody}/0")
    assert "hunter2" not in str(caught.value)


async def test_only_the_password_is_hidden() -> None:
    """A server's words stay as they are, except where they repeat the password as a URL or a quotation has it."""

    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"-ERR unknown command 'e' of redis://:e@here:1, refused\r\n")
        writer.close()

    server = await asyncio.start_server(repeat, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(LauncherError) as caught:
            await check_redis(f"redis://:e@127.0.0.1:{port}/0")
    assert "cannot be used: ERR unknown command '***' of redis://:***@here:1, refused; start it" in str(caught.value)
