"""What requests cost in queries and round trips, and how PostgreSQL runs those queries."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
from running import EMAIL, PASSWORD, Service

import app.repositories
from app.storage.database import Statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


def statements() -> list[Statement]:
    """Find every statement that any repository can run."""
    modules = [
        importlib.import_module(m.name) for m in pkgutil.walk_packages(app.repositories.__path__, "app.repositories.")
    ]
    found = {value.name: value for module in modules for value in vars(module).values() if isinstance(value, Statement)}
    return list(found.values())


@pytest.fixture
async def full_database(database_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Fill the tables so far that a sequential scan is the worse plan."""
    sql = await asyncpg.connect(database_url)
    await sql.execute(
        """
        INSERT INTO users (id, email, password_hash, role, created_at)
        SELECT gen_random_uuid(), n || CASE WHEN n % 50 = 0 THEN '@load.invalid' ELSE '@example.org' END, 'x', 'user', now()
        FROM generate_series(1, 10000) n;
        INSERT INTO profiles (user_id, updated_at) SELECT id, now() FROM users;
        INSERT INTO sessions (id, user_id, token_hash, created_at, last_seen_at, expires_at)
        SELECT gen_random_uuid(), id, sha256(id::text::bytea), now(), now(), now() FROM users, generate_series(1, 1);
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
    "text[]": ["x"],
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
    """Registration is one statement, login two; neither needs Redis."""
    with counting(service, monkeypatch) as cost:
        await service.client.post("/auth/register", json={"email": EMAIL, "password": PASSWORD})
    assert (cost.queries, cost.round_trips) == (1, 0)
    with counting(service, monkeypatch) as cost:
        await service.client.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})
    assert (cost.queries, cost.round_trips) == (2, 0)
