"""What requests cost in queries and round trips, and how PostgreSQL runs those queries."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
from running import EMAIL, PASSWORD, Service

from app.repositories.devices import OF_USER
from app.repositories.statements import statements
from app.repositories.users import AFTER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from app.storage.database import Statement


@pytest.fixture(scope="module")
async def full_database(shared_database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Fill the tables so far that a sequential scan is the worse plan."""
    sql = await asyncpg.connect(shared_database)
    await sql.execute(
        """
        INSERT INTO users (id, email, password_hash, role, created_at)
        SELECT gen_random_uuid(), n || CASE WHEN n % 50 = 0 THEN '@load.invalid' ELSE '@example.org' END, 'x', 'user', now()
        FROM generate_series(1, 10000) n;
        INSERT INTO profiles (user_id, updated_at) SELECT id, now() FROM users;
        INSERT INTO sessions (id, user_id, token_hash, created_at, last_seen_at, expires_at)
        SELECT gen_random_uuid(), id, sha256(id::text::bytea), now(), now(), now() FROM users, generate_series(1, 1);
        INSERT INTO email_tokens (id, user_id, purpose, token_hash, expires_at)
        SELECT gen_random_uuid(), id, 'verify', sha256(id::text::bytea), now() FROM users;
        INSERT INTO outbox (id, recipient, kind, attempts, due_at)
        SELECT gen_random_uuid(), email, 'verify', 0, now() FROM users;
        INSERT INTO pending_invalidations (id, cache_keys) SELECT gen_random_uuid(), '{a}' FROM generate_series(1, 10000);
        """
    )
    await sql.execute("VACUUM ANALYZE")
    yield sql
    await sql.close()


EXAMPLES: dict[str, Any] = {
    "uuid": UUID(int=1),
    "bytea": b"x",
    "timestamptz": datetime(2026, 1, 1, tzinfo=UTC),
    "bool": True,
    "text": "x",
    "varchar": "x",
    "int8": 5,
    "uuid[]": [UUID(int=1)],
    "timestamptz[]": [datetime(2026, 1, 1, tzinfo=UTC)],
    "text[]": ["x"],
    "varchar[]": ["x"],
    "bool[]": [True],
    "bytea[]": [b"x"],
    "float8": 1.0,
}


@pytest.mark.parametrize("statement", statements(), ids=lambda statement: statement.name)
async def test_no_query_scans_a_table(full_database: asyncpg.Connection[Any], statement: Statement) -> None:
    """PostgreSQL's own plan of every statement has no sequential scan in it."""
    prepared = await full_database.prepare(statement.sql)
    values = [EXAMPLES[parameter.name] for parameter in prepared.get_parameters()]
    plan = await full_database.fetchval(f"EXPLAIN (FORMAT JSON) {statement.sql}", *values)
    assert sequential_scans(json.loads(plan)) == []


async def test_the_plan_reader_sees_a_sequential_scan(full_database: asyncpg.Connection[Any]) -> None:
    """A query on a column without an index is caught, so the test above can fail."""
    plan = await full_database.fetchval("EXPLAIN (FORMAT JSON) SELECT id FROM users WHERE password_hash = 'y'")
    assert sequential_scans(json.loads(plan)) == ["users"]


def sequential_scans(plan: Any) -> list[str]:
    """Name the tables that a plan reads from end to end."""
    if isinstance(plan, list):
        return [table for part in plan for table in sequential_scans(part)]
    if not isinstance(plan, dict):
        return []
    here = [plan["Relation Name"]] if plan.get("Node Type") == "Seq Scan" else []
    return here + [table for part in plan.values() for table in sequential_scans(part)]


class Cost:
    """Queries and round trips between two moments."""

    queries = 0
    round_trips = 0


@contextmanager
def counting(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cost]:
    """Count what is asked of PostgreSQL and of Redis."""
    cost, database, cache = Cost(), service.parts.database, service.parts.cache
    fetch: Callable[..., Any] = database.fetch
    asked: list[str] = []

    async def counted(statement: Statement, *values: Any) -> list[dict[str, Any]]:
        if not re.match("invalidations_", statement.name):  # those belong to the sweep, one batch a second
            asked.append(statement.name)
        return list(await fetch(statement, *values))

    with monkeypatch.context() as patch:
        patch.setattr(database, "fetch", counted)
        before = cache.round_trips
        yield cost
        cost.round_trips = cache.round_trips - before
        cost.queries = len(asked)


@pytest.mark.parametrize(
    ("method", "path", "warm", "queries", "round_trips"),
    [
        ("GET", "/auth/check", True, 0, 1),
        ("GET", "/auth/me", True, 0, 1),
        ("GET", "/auth/check", False, 1, 3),
        ("GET", "/auth/me", False, 1, 3),
        ("GET", "/auth/sessions", True, 1, 1),
        ("DELETE", "/auth/sessions", True, 1, 1),
        ("PUT", "/users/profile", True, 1, 2),
        ("POST", "/auth/logout", True, 1, 2),
    ],
)
async def test_a_request_stays_within_its_budget(
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    warm: bool,
    queries: int,
    round_trips: int,
) -> None:
    """The queries and round trips of each endpoint are those of the design, to the last one."""
    bearer = await service.person()
    if warm:
        await service.client.get("/auth/me", headers=bearer)
    with counting(service, monkeypatch) as cost:
        answer = await service.client.request(
            method, path, headers=bearer, json={"bio": "x"} if method == "PUT" else None
        )
    assert answer.is_success
    assert (cost.queries, cost.round_trips) == (queries, round_trips)


async def test_registration_and_login_stay_within_their_budgets(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registration is one statement, login two; in Redis a limit costs one trip, and one more to tell a login from a guess."""
    with counting(service, monkeypatch) as cost:
        await service.client.post("/auth/register", json={"email": EMAIL, "password": PASSWORD})
    assert (cost.queries, cost.round_trips) == (1, 1)
    with counting(service, monkeypatch) as cost:
        await service.client.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})
    assert (cost.queries, cost.round_trips) == (2, 2)
    with counting(service, monkeypatch) as cost:
        await service.client.post("/auth/login", json={"email": EMAIL, "password": "not the password"})
    assert (cost.queries, cost.round_trips) == (1, 1)


async def test_revoking_sessions_stays_within_its_budget(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ending one session or many is one statement and one delete in the cache, after one look at the caller's own."""
    bearer = await service.person()
    for path in ("/auth/sessions", "/auth/sessions/{}"):
        lost = await service.login()
        found = (await service.client.get("/auth/check", headers=lost)).headers["x-session-id"]
        await service.client.get("/auth/check", headers=bearer)
        with counting(service, monkeypatch) as cost:
            assert (await service.client.delete(path.format(found), headers=bearer)).is_success
        assert (cost.queries, cost.round_trips) == (1, 2)


async def test_a_page_of_fifty_users_is_one_query(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users come with their names in one join: fifty cost what one costs, and no column that is not shown is read."""
    bearer = await service.person()
    await service.sql.execute(
        """
        INSERT INTO users (id, email, password_hash, role, created_at)
        SELECT gen_random_uuid(), n || '@example.org', 'x', 'user', now() FROM generate_series(1, 50) n;
        INSERT INTO profiles (user_id, name, updated_at) SELECT id, email, now() FROM users WHERE email ~ '^[0-9]'
        """
    )
    await service.sql.execute("UPDATE users SET role = 'admin' WHERE email = $1", EMAIL)
    await service.client.get("/auth/me", headers=bearer)
    with counting(service, monkeypatch) as cost:
        page = (await service.client.get("/users?limit=50", headers=bearer)).json()
    assert (cost.queries, cost.round_trips) == (1, 1)
    assert len(page["items"]) == 50
    prepared = await service.sql.prepare(AFTER.sql)
    assert {column.name for column in prepared.get_attributes()} == set(page["items"][0])


async def test_the_list_of_sessions_reads_only_what_it_shows(service: Service) -> None:
    """The hash of the token, which opens the session's cache entry, is not among the columns."""
    prepared = await service.sql.prepare(OF_USER.sql)
    columns = {column.name for column in prepared.get_attributes()}
    assert columns == {"id", "created_at", "last_seen_at", "expires_at", "address", "client"}
