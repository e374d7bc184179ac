"""Plans of the service's queries, as PostgreSQL makes them on real tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from app.repositories.statements import statements
from app.storage.database import Statement
from app.storage.explain import Explainer, compared_column
from app.tuning.plan_nodes import nodes_of, warnings_of
from app.tuning.plans import DatabasePlans, refusal_of
from console.tuning import PlanRefused

if TYPE_CHECKING:
    from running import Service

SECRET = "argon2id"


async def test_every_query_is_explained_with_arguments_out_of_the_tables_and_none_changes_any(
    service: Service, database_url: str
) -> None:
    """All of them are planned, those that only read are run, and afterwards each table is as it was."""
    await service.person()
    before, plans = await service.rows(), DatabasePlans(database_url)
    assert {card.name for card in plans.queries()} == {statement.name for statement in statements()}
    for card in plans.queries():
        plan = await plans.explain(card.name, run=not card.refusal)
        assert plan.nodes[0].depth == 0, card.name
        assert (plan.execution is None) == bool(card.refusal), card.name
        assert (plan.nodes[0].rows is None) == bool(card.refusal), card.name
        if card.refusal:
            with pytest.raises(PlanRefused, match="not run"):
                await plans.explain(card.name, run=True)
        details = [detail for node in plan.nodes for detail in node.details]
        shown = " ".join((*plan.arguments, *details, *plan.warnings, plan.sql))
        assert "ann@" not in shown
        assert SECRET not in shown
        assert "\\x" not in shown  # nor what a session is found by
    assert await service.rows() == before
    found = await plans.explain("session_with_profile", run=True)
    assert found.nodes[0].rows == 1  # so the arguments are those of a session that there is
    with pytest.raises(PlanRefused, match="no query of that name"):
        await plans.explain("users; DROP TABLE users")


async def test_a_session_for_explaining_can_write_nothing(service: Service, database_url: str) -> None:
    """Were a statement taken for one that only reads, PostgreSQL would refuse it all the same."""
    await service.person()
    harmful = Statement("harmful", "DELETE FROM sessions")
    async with Explainer.at(database_url) as session:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await session.plan(harmful, [], run=True)
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await session._connection.execute("DELETE FROM sessions")
        assert await session._connection.fetchval("SHOW statement_timeout") == "2s"
    assert (await service.rows())["sessions"] == 1
    assert refusal_of(harmful)
    assert refusal_of(Statement("locking", "SELECT id FROM users FOR SHARE"))
    assert not refusal_of(Statement("reading", "SELECT id, updated_at FROM users"))


async def test_what_should_be_looked_at_is_told(service: Service, database_url: str) -> None:
    """A scan of a large table, an estimate that is far off and a sort on disk are each named in a sentence; an index scan is not."""
    await service.sql.execute(
        "CREATE TABLE heap AS SELECT n, repeat('x', 100) AS text FROM generate_series(1, 20000) n; ANALYZE heap"
    )
    try:
        async with Explainer.at(database_url) as session:
            await session._connection.execute("SET work_mem = '64kB'; SET max_parallel_workers_per_gather = 0")
            rows = await session.rows()
            told = await session.plan(
                Statement("slow", "SELECT n FROM heap WHERE n + 0 > 0 AND length(text) = 100 ORDER BY text, n"),
                [],
                run=True,
            )
            warnings = " ".join(warnings_of(told, rows))
            good = await session.plan(Statement("good", "SELECT id FROM users WHERE id = $1"), [None], run=True)
    finally:
        await service.sql.execute("DROP TABLE heap")
    assert "reads all of heap from end to end, about 20,000 rows" in warnings
    assert "was expected to give" in warnings
    assert "sorts on disk" in warnings
    assert any(node.sequential for node in nodes_of(told))
    assert warnings_of(good, rows) == ()


async def test_where_postgresql_does_not_count_there_are_no_statistics(service: Service, database_url: str) -> None:
    """Without pg_stat_statements there is nothing, and with it each query has its own name."""
    await service.person()
    plans = DatabasePlans(database_url)
    extended = await service.sql.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'")
    found = await plans.statistics()
    assert (found is None) == (not extended)
    if found is not None:
        assert {each.name: each.calls for each in found}["session_open"] >= 1
    assert await DatabasePlans("postgres://127.0.0.1:1/nothing").statistics() is None


def test_the_column_of_a_parameter_is_found() -> None:
    """By alias, by the only table, in an array; not where it is compared with none."""
    sql = (
        "SELECT 1 FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = $1 AND u.id = ANY($12) LIMIT $2"
    )
    assert compared_column(sql, 1) == ("sessions", "token_hash")
    assert compared_column(sql, 12) == ("users", "id")
    assert compared_column(sql, 2) is None
    assert compared_column("UPDATE users SET name = $1 WHERE id = $2", 2) == ("users", "id")
