"""Made-up users: the same for the same seed, written in whole batches, able to log in."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from app.errors import DatabaseUnavailable
from app.repositories.seeding import PASSWORD, Recipe, Seeding, email_of, token_of, user_id_of
from app.services.seeding import BATCH, Seeder
from app.storage.bulk import Bulk, Rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from running import Service

    from app.embedded import Server

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
LIFETIME, IDLE = timedelta(days=30), timedelta(days=14)


def seeding(service: Service, url: str, seed: int = 1) -> AbstractAsyncContextManager[Seeder[Recipe]]:
    """Open a seeder on the stores of the service."""

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[Seeder[Recipe]]:
        async with Bulk.open(url) as bulk:
            store = Seeding(service.parts.database, bulk, service.parts.invalidations)
            yield Seeder(store, Recipe(seed, datetime.now(UTC), LIFETIME, IDLE))

    return opened()


def test_the_same_seed_makes_the_same_rows() -> None:
    """Every value is the same for the same seed and moment, and users do not even depend on the moment."""
    wanted = [(number, 3) for number in range(1, 200)]
    first = Recipe(7, NOW, LIFETIME, IDLE).rows(wanted)
    assert first == Recipe(7, NOW, LIFETIME, IDLE).rows(wanted)
    assert first[0] == Recipe(7, NOW + timedelta(days=9), LIFETIME, IDLE).rows(wanted)[0]
    other = Recipe(8, NOW, LIFETIME, IDLE).rows(wanted)
    for rows, others in zip(first, other, strict=True):
        assert not {row[0] for row in rows.records} & {row[0] for row in others.records}
    for _, _, _, created, seen, expires, *_ in first[2].records:
        assert NOW - LIFETIME < created <= seen <= NOW < expires
        assert seen > NOW - IDLE
    assert {row[0].version for rows in first[::2] for row in rows.records} == {7}


async def test_seeded_users_can_log_in_and_their_tokens_work(service: Service, database_url: str) -> None:
    """Everybody has the documented password, and a token can be worked out without logging in."""
    async with seeding(service, database_url) as seeder:
        made = await seeder.run(5, 12, lambda _: None)
    assert (made.users, made.sessions, made.skipped, made.rows) == (5, 12, 0, 22)
    assert await service.rows() == {"users": 5, "profiles": 5, "sessions": 12, "pending_invalidations": 0}
    answer = await service.client.post("/auth/login", json={"email": "Seed3@seed.invalid", "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.json()["user"]["id"] == str(user_id_of(1, 3))
    bearer = {"Authorization": f"Bearer {token_of(1, 2, 2)}"}
    me = (await service.client.get("/auth/me", headers=bearer)).json()
    assert (me["email"], me["email_verified"]) == (email_of(2), True)
    assert (await service.client.get("/auth/sessions", headers=bearer)).json()["next_cursor"] is None


async def test_seeding_again_skips_what_is_there(service: Service, database_url: str) -> None:
    """A second run leaves users and their sessions as they are and goes on behind them, whatever its seed."""
    steps: list[int] = []
    async with seeding(service, database_url) as seeder:
        await seeder.run(BATCH + 10, 100, steps.append)
    assert steps == [BATCH, 10]
    async with seeding(service, database_url, seed=2) as seeder:
        made = await seeder.run(BATCH + 25, 0, lambda _: None)
    assert (made.users, made.sessions, made.skipped) == (15, 0, BATCH + 10)
    rows = await service.rows()
    assert (rows["users"], rows["profiles"], rows["sessions"]) == (BATCH + 25, BATCH + 25, 100)


async def test_clearing_takes_all_seeded_users_and_nobody_else(service: Service, database_url: str) -> None:
    """They go with profiles and sessions, cached ones too; a person stays."""
    ann = await service.person()
    bearer = {"Authorization": f"Bearer {token_of(1, 1, 0)}"}
    async with seeding(service, database_url) as seeder:
        await seeder.run(700, 700, lambda _: None)
        assert (await service.client.get("/auth/me", headers=bearer)).status_code == 200
        assert await seeder.clear() == 700
    assert (await service.client.get("/auth/me", headers=bearer)).status_code == 401
    assert (await service.client.get("/auth/me", headers=ann)).status_code == 200
    await service.parts.invalidations.settle()
    assert await service.rows() == {"users": 1, "profiles": 1, "sessions": 1, "pending_invalidations": 0}


async def test_a_batch_that_cannot_be_written_whole_is_not_written(service: Service, database_url: str) -> None:
    """When a row of the last table is refused, the users before it are gone too, and the error says come back."""
    users, profiles, sessions = Recipe(1, datetime.now(UTC), LIFETIME, IDLE).rows([(1, 1)])

    async def write() -> None:
        async with Bulk.open(database_url) as bulk:
            await bulk.copy(users, profiles, Rows(sessions.table, sessions.columns, [*sessions.records] * 2))

    with pytest.raises(DatabaseUnavailable, match="sessions_pkey"):
        await write()
    assert (await service.rows())["users"] == 0


@pytest.fixture
def environment(database_url: str, redis: Server) -> dict[str, str]:
    """Return what a command needs to find the stores."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWATCH_")}
    return {**kept, "DATABASE_URL": database_url, "REDIS_URL": redis.url}


async def command(environment: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    """Start a command as it is typed."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", *arguments, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=pipe
    )


async def said(environment: dict[str, str], *arguments: str, typed: str = "") -> tuple[int | None, str, str]:
    """Run a command to its end; return its exit code and what it wrote."""
    process = await command(environment, *arguments)
    out, err = await asyncio.wait_for(process.communicate(typed.encode()), 180)
    return process.returncode, out.decode(), err.decode()


async def test_an_interrupted_seeding_leaves_whole_batches(environment: dict[str, str], database_url: str) -> None:
    """Ctrl-C between or within batches leaves users with all their sessions, and the next run goes on."""
    process = await command(environment, "seed", "--users", "400000", "--sessions", "800000")
    sql = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(180):
            while not await sql.fetchval("SELECT pg_sleep(0.01) IS NOT NULL AND count(*) >= $1 FROM users", 2 * BATCH):
                pass
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 180)
        assert process.returncode == 1
        assert "Traceback" not in err.decode()
        users, profiles, sessions = [
            await sql.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own names
            for table in ("users", "profiles", "sessions")
        ]
        assert users % BATCH == 0
        assert (profiles, sessions) == (users, 2 * users)
        code, out, _ = await said(environment, "seed", "--users", str(users + 1), "--sessions", "0")
        assert (code, out.splitlines()[0].split()[0]) == (0, f"{users:,}")
        assert await sql.fetchval("SELECT count(*) FROM users") == users + 1
    finally:
        await sql.close()


async def test_the_commands_say_what_they_did(environment: dict[str, str]) -> None:
    """Each says it in one line on stdout; what cannot be done is one line on stderr and exit code 1."""
    typed = "correct horse battery\nsecond line\n"
    for arguments, code, text in (
        (("user", "create", "Ann@Example.org", "--admin", "--password-stdin"), 0, "ann@example.org can log in and is an administrator"),
        (("user", "create", "ann@example.org", "--password-stdin"), 1, "gatewatch: this email address has an account already"),
        (("user", "create", "bob@example.org", "--password-stdin"), 0, "bob@example.org can log in"),
        (("user", "demote", "ann@example.org"), 0, "ann@example.org is an ordinary user"),
        (("user", "promote", "ann@example.org"), 0, "ann@example.org is an administrator"),
        (("user", "disable", "bob@example.org"), 0, "bob@example.org is disabled; 0 sessions ended"),
        (("user", "enable", "bob@example.org"), 0, "bob@example.org can log in"),
        (("user", "enable", "nobody@example.org"), 1, "gatewatch: no user has the address nobody@example.org"),
    ):  # fmt: skip
        returned, out, err = await said(environment, *arguments, typed=typed)
        assert (returned, (out if code == 0 else err).strip(), (err if code == 0 else out)) == (code, text, "")


async def test_a_command_without_an_instance_says_so(data_dir: Path) -> None:
    """Without stores that are named and without a running instance there is nothing to work on."""
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    environment = {**kept, "GATEWATCH_DATA_DIR": str(data_dir)}
    for arguments in (("user", "disable", "ann@example.org"), ("seed",)):
        code, out, err = await said(environment, *arguments)
        assert (code, out) == (1, "")
        assert err.startswith("gatewatch: no instance runs on")
        assert err.count("\n") == 1
