"""A real PostgreSQL and a real Redis for the whole run, on free ports, gone afterwards."""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from sanic import Sanic

from app.embedded import Server, discard, start_postgres, start_redis
from app.storage.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

# Sanic rewrites its own methods when an application starts; in this mode it can do so again for the next one.
Sanic.test_mode = True

# How long an example takes says nothing on a busy machine.
settings.register_profile("patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a PostgreSQL server of our own."""
    folder = tmp_path_factory.mktemp("stores") / "postgres"
    server = start_postgres(folder)
    yield server
    server.stop()
    discard(folder)


@pytest.fixture
def redis() -> Iterator[Server]:
    """Run a Redis server for one test, so that the test may hurt it."""
    server = start_redis()
    yield server
    server.stop()


@contextlib.asynccontextmanager
async def _database(postgres: Server, template: str) -> AsyncIterator[str]:
    """Have a copy of a database for a while; give its URL."""
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres.url)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield postgres.url.rpartition("/")[0] + f"/{name}"
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture
async def empty_database(postgres: Server) -> AsyncIterator[str]:
    """Make a database without a table; return its URL."""
    async with _database(postgres, "template1") as url:
        yield url


@pytest.fixture(scope="session")
async def migrated(postgres: Server) -> AsyncIterator[str]:
    """Make a database with the present schema, from which others are copied; return its name."""
    async with _database(postgres, "template1") as url:
        await migrate(url)
        yield url.rpartition("/")[2]


@pytest.fixture
async def database_url(postgres: Server, migrated: str) -> AsyncIterator[str]:
    """Make a database with the present schema; return its URL."""
    async with _database(postgres, migrated) as url:
        yield url


@pytest.fixture(scope="module")
async def shared_database(postgres: Server, migrated: str) -> AsyncIterator[str]:
    """Make one for all tests of a module, which leave it as it is; return its URL."""
    async with _database(postgres, migrated) as url:
        yield url


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return a data folder."""
    return tmp_path / "data"
