"""The five patterns of fast access to a database, as PostgreSQL's own statistics, plans and descriptions show them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
from running import EMAIL, Service

from app.listings import FIRST_ID, Page
from app.repositories.accounts import BY_EMAIL
from app.repositories.devices import OF_USER, Devices
from app.repositories.seeding import Recipe, Seeding
from app.repositories.sessions import BY_TOKEN, WITH_USER
from app.repositories.statements import statements
from app.repositories.sweeps import EXPIRED_SESSIONS
from app.repositories.users import AFTER
from app.services.seeding import BATCH, Seeder
from app.storage.bulk import Bulk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.embedded import Server
    from app.storage.database import Statement

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOMEBODY = UUID(int=1)
PAGE = 20
HASHES = {"user_by_email", "password_hash"}
"""The statements that verify a password; no other returns a hash."""


class Asked:
    """What PostgreSQL says that it was asked in one database."""

    def __init__(self, sql: asyncpg.Connection[Any], database: str) -> None:
        self._sql = sql
        self._database = database

    async def times(self, pattern: str) -> int:
        """Count the calls of statements that look like this."""
        calls: int = await self._sql.fetchval(
            """
            SELECT coalesce(sum(calls), 0)::int8 FROM pg_stat_statements
            WHERE dbid = (SELECT oid FROM pg_database WHERE datname = $1) AND query ~ $2
            """,
            self._database,
            pattern,
        )
        return calls


@pytest.fixture
async def asked(postgres: Server, database_url: str) -> AsyncIterator[Asked]:
    """Return the statistics of the test's database."""
    sql = await asyncpg.connect(postgres.url)
    yield Asked(sql, database_url.rpartition("/")[2])
    await sql.close()


@pytest.fixture
async def many(database_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Return a connection to a database with 10,000 users of one session each."""
    sql = await asyncpg.connect(database_url)
    await sql.execute(
        """
        INSERT INTO users (id, email, password_hash, role, created_at)
        SELECT gen_random_uuid(), n || '@example.org', 'x', 'user', now() FROM generate_series(1, 10000) n;
        INSERT INTO profiles (user_id, updated_at) SELECT id, now() FROM users;
        INSERT INTO sessions (id, user_id, token_hash, created_at, last_seen_at, expires_at)
        SELECT gen_random_uuid(), id, sha256(id::text::bytea), now(), now(), now() FROM users;
        """
    )
    await sql.execute("VACUUM ANALYZE")
    yield sql
    await sql.close()


async def plan_of(sql: asyncpg.Connection[Any], statement: Statement, *values: Any) -> dict[str, Any]:
    """Run a statement and return its plan with what each node did."""
    [whole] = json.loads(await sql.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.sql}", *values))
    return dict(whole["Plan"])


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a plan's nodes."""
    return [plan, *(node for part in plan.get("Plans", ()) for node in nodes(part))]


@pytest.mark.parametrize("size", [1, 100])
async def test_a_list_is_one_query_however_long(service: Service, asked: Asked, size: int) -> None:
    """N+1: a hundred users with their profiles, or a hundred sessions, are one statement, as one user is."""
    bearer = await service.person()
    await service.sql.execute("UPDATE users SET role = 'admin' WHERE email = $1", EMAIL)
    await service.sql.execute(
        """
        INSERT INTO users (id, email, password_hash, role, created_at)
        SELECT gen_random_uuid(), n || '@example.org', 'x', 'user', now() FROM generate_series(1, $1::int) n
        """,
        size - 1,
    )
    await service.sql.execute(
        "INSERT INTO profiles (user_id, updated_at) SELECT id, now() FROM users WHERE email <> $1", EMAIL
    )
    await service.sql.execute(
        """
        INSERT INTO sessions (id, user_id, token_hash, created_at, last_seen_at, expires_at)
        SELECT gen_random_uuid(), id, sha256(n::text::bytea), now(), now(), now() + interval '1 day'
        FROM users, generate_series(1, $2::int) n WHERE email = $1
        """,
        EMAIL,
        size - 1,
    )
    await service.client.get("/auth/me", headers=bearer)
    reads = r"^\s*SELECT .*FROM (users|profiles|sessions)\M"
    for path in ("/users", "/auth/sessions"):
        before = await asked.times(reads)
        page = (await service.client.get(path, params={"limit": 100}, headers=bearer)).json()
        assert len(page["items"]) == size
        assert await asked.times(reads) - before == 1


async def test_no_query_asks_for_columns_that_nobody_uses(database_url: str) -> None:
    """Needed columns only: each is named, and a password's hash goes only where one is verified."""
    sql = await asyncpg.connect(database_url)
    for statement in statements():
        assert not re.search(r"SELECT\s+(\w+\.)?\*(?! FROM unnest)", statement.sql), statement.name
        returned = {column.name for column in (await sql.prepare(statement.sql)).get_attributes()}
        assert ("password_hash" in returned) == (statement.name in HASHES)
    await sql.close()


async def test_the_last_page_costs_what_the_first_does(many: asyncpg.Connection[Any]) -> None:
    """Pages by cursor: PostgreSQL touches one page of users wherever the page lies, and passes over none."""
    late = await many.fetchval("SELECT id FROM users ORDER BY id OFFSET 9900 LIMIT 1")
    for cursor in (FIRST_ID, late):
        page = Page(limit=PAGE, cursor=cursor)
        plan = nodes(await plan_of(many, AFTER, page.cursor, page.limit))
        touched = [
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
            for node in plan
            if "Relation Name" in node
        ]
        assert len(touched) == 2
        assert max(touched) <= PAGE + 1


async def test_a_lookup_uses_its_index(many: asyncpg.Connection[Any]) -> None:
    """Indexes: each column that is searched, joined or sorted by has one, and PostgreSQL takes it."""
    lookups: list[tuple[str, Statement, tuple[Any, ...]]] = [
        ("idx_users_email", BY_EMAIL, ("7@example.org",)),
        ("idx_sessions_token", BY_TOKEN, (b"x", SOMEBODY)),
        ("idx_sessions_token", WITH_USER, (b"x", SOMEBODY)),
        ("idx_sessions_token", OF_USER, (SOMEBODY, FIRST_ID, NOW, NOW, PAGE)),
        ("idx_sessions_expires_at", EXPIRED_SESSIONS, (NOW, PAGE)),
    ]
    for index, statement, values in lookups:
        plan = nodes(await plan_of(many, statement, *values))
        assert index in {node.get("Index Name") for node in plan}, statement.name
        assert not [node for node in plan if node["Node Type"] == "Seq Scan"], statement.name


async def test_many_rows_are_written_at_once(service: Service, database_url: str, asked: Asked) -> None:
    """Batches: so many users are one COPY a table and batch, and as many sessions that were seen are one UPDATE."""
    users = 2 * BATCH
    life, idle = timedelta(days=30), timedelta(days=14)
    now = datetime.now(UTC)
    async with Bulk.open(database_url) as bulk:
        store = Seeding(service.parts.database, bulk, service.parts.invalidations)
        await Seeder(store, Recipe(1, now, life, idle)).run(users, users, lambda _: None)
    assert await asked.times("^COPY ") == 3 * users // BATCH
    assert await asked.times(r"^\s*INSERT INTO (users|profiles|sessions)\M") == 0
    assert (await service.rows())["sessions"] == users

    before = await asked.times("UPDATE sessions")
    seen = [(row["id"], now) for row in await service.sql.fetch("SELECT id FROM sessions LIMIT 1000")]
    await Devices(service.parts.database, service.parts.invalidations, idle=idle).touch(seen, now)
    assert await asked.times("UPDATE sessions") - before == 1
    assert await service.sql.fetchval("SELECT count(*) FROM sessions WHERE last_seen_at = $1", now) == len(seen)
