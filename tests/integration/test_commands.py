"""Commands on stores that cannot be used as they are: each ends with one line that says what to do."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import asyncpg
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from app.embedded import Server

UNFIT = "the database does not have the present schema or does not let us use it; run `gatewatch migrate`"


async def _refused(*command: str, folder: Path, **settings: str) -> str:
    """Run a command that must fail, and return its one line."""
    ours = {"GATEWATCH_DATA_DIR": str(folder), **settings}
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("GATEWATCH_", "DATABASE_", "REDIS_"))
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", *command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=kept | ours,
    )
    out, err = await asyncio.wait_for(process.communicate(), 180)
    assert (process.returncode, out) == (1, b"")
    (line,) = err.decode().splitlines()
    return line


async def test_a_database_without_the_schema_is_one_line(empty_database: str, redis: Server, data_dir: Path) -> None:
    """Whoever forgot to migrate is told to."""
    line = await _refused("load", "purge", folder=data_dir, DATABASE_URL=empty_database, REDIS_URL=redis.url)
    assert line == f"gatewatch: {UNFIT}"


async def test_a_user_without_rights_is_one_line(database_url: str, redis: Server, data_dir: Path) -> None:
    """One who may log in to the database and read nothing of it can neither purge nor migrate."""
    owner = await asyncpg.connect(database_url)
    address = database_url.partition("@")[2]
    try:
        await owner.execute("CREATE ROLE stranger LOGIN PASSWORD 'strange'")
        url = f"postgres://stranger:strange@{address}"
        line = await _refused("load", "purge", folder=data_dir, DATABASE_URL=url, REDIS_URL=redis.url)
        assert line == f"gatewatch: {UNFIT}"
        line = await _refused("migrate", folder=data_dir, DATABASE_URL=url)
        assert "permission denied" in line
        assert "must own it" in line
    finally:
        await owner.execute("DROP ROLE stranger")
        await owner.close()


@pytest.mark.parametrize("command", [("load", "purge"), ("user", "enable", "ann@example.org")])
async def test_a_database_alone_is_refused(command: tuple[str, ...], data_dir: Path) -> None:
    """Without its Redis the caches of that service could not be told, so nothing is done."""
    line = await _refused(*command, folder=data_dir, DATABASE_URL="postgres://me@127.0.0.1:1/db")
    assert "DATABASE_URL is set, REDIS_URL is not" in line


@pytest.mark.parametrize("command", [("load", "purge"), ("seed",), ("user", "enable", "ann@example.org")])
async def test_a_database_that_is_not_there_is_named(command: tuple[str, ...], data_dir: Path) -> None:
    """Each command says which server does not answer, why, and what to do."""
    stores = {"DATABASE_URL": "postgres://me:secret@127.0.0.1:1/db", "REDIS_URL": "redis://127.0.0.1:1"}
    line = await _refused(*command, folder=data_dir, **stores)
    assert line == (
        "gatewatch: PostgreSQL at 127.0.0.1:1 cannot be used: connection refused; start it, or correct DATABASE_URL"
    )


async def test_a_server_that_is_not_there_is_no_matter_of_ownership(data_dir: Path) -> None:
    """A refused connection is told as one."""
    line = await _refused("migrate", folder=data_dir, DATABASE_URL="postgres://me@127.0.0.1:1/db")
    assert "PostgreSQL refuses the connection" in line
    assert "own" not in line
