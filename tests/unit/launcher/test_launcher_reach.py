"""Claims about telling whether named servers can be used."""

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


async def test_only_the_password_of_a_url_is_hidden(nobody: str) -> None:
    """A password of one letter leaves every other word of the message as it is."""
    with pytest.raises(LauncherError, match=f"PostgreSQL at {nobody} cannot be used: connection refused; start it"):
        await check_postgres(f"postgres://someone:e@{nobody}/db")
    with pytest.raises(LauncherError) as caught:
        await check_postgres(f"postgres://someone:hunter2@{nobody}/db?sslmode=postgres://me:hunter2@host")
    assert "hunter2" not in str(caught.value)
