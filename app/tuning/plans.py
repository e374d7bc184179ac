"""The plans of the service's queries as the console shows them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from app.repositories.statements import statements
from app.storage.explain import Explainer, ExplainError
from app.tuning.plan_nodes import execution_of, nodes_of, planning_of, warnings_of
from console.tuning import PlanRefused, QueryCard, QueryPlan, Statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.storage.database import Statement

WRITES = "It writes, so it is planned and not run."
LOCKS = "It locks rows, so it is planned and not run."

_WRITING = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE|TRUNCATE)\b", re.IGNORECASE)
_LOCKING = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+UPDATE|UPDATE|KEY\s+SHARE|SHARE)\b|\bpg_\w*advisory\w*\(", re.IGNORECASE)


class DatabasePlans:
    """Implements the console's Plans, over a connection of its own each time: the pool is left to requests."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._statements = {statement.name: statement for statement in statements()}
        self._identities: dict[int, str] = {}

    def queries(self) -> Sequence[QueryCard]:
        """Return every query of the service, by name."""
        known = sorted(self._statements.values(), key=lambda statement: statement.name)
        return [QueryCard(each.name, tidy(each.sql), refusal_of(each)) for each in known]

    async def explain(self, name: str, *, run: bool = False) -> QueryPlan:
        """Return the plan of a query with arguments out of the tables; raise PlanRefused."""
        statement = self._statements.get(name)
        if statement is None:
            raise PlanRefused("There is no query of that name.")
        if run and (why := refusal_of(statement)):
            raise PlanRefused(why)
        try:
            async with Explainer.at(self._url) as session:
                arguments = await session.arguments(statement)
                told = await session.plan(statement, arguments, run=run)
                rows = await session.rows()
        except ExplainError as error:
            raise PlanRefused(f"PostgreSQL did not explain it: {error}.") from None
        nodes = nodes_of(told, statement.sql)
        return QueryPlan(
            name=name,
            sql=tidy(statement.sql),
            arguments=tuple(shown(argument) for argument in arguments),
            nodes=nodes,
            planning=planning_of(told),
            execution=execution_of(told),
            warnings=warnings_of(told, rows),
        )

    async def statistics(self) -> Sequence[Statistics] | None:
        """Return what PostgreSQL has counted of the queries; None where it does not count, or does not answer."""
        try:
            async with Explainer.at(self._url) as session:
                counted = await session.counted()
                if counted is None:
                    return None
                if not self._identities:
                    known = [(await session.identity(each), name) for name, each in self._statements.items()]
                    self._identities = {number: name for number, name in known if number is not None}
        except ExplainError:
            return None
        found = [(name, counted[number]) for number, name in self._identities.items() if number in counted]
        return [_statistics(name, row) for name, row in sorted(found, key=lambda each: each[0])]


def refusal_of(statement: Statement) -> str:
    """Say why a statement must not be run to be explained; nothing when it only reads."""
    if _WRITING.search(statement.sql):
        return WRITES
    return LOCKS if _LOCKING.search(statement.sql) else ""


def tidy(sql: str) -> str:
    """Return SQL without the margin that it has in the code."""
    lines = [line.rstrip() for line in sql.strip("\n").splitlines()]
    margin = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    return "\n".join(line[margin:] for line in lines).strip()


def shown(argument: Any) -> str:
    """Write an argument so that it gives nobody away: neither what is compared with secrets, nor who somebody is."""
    if isinstance(argument, list):
        return f"[{', '.join(map(shown, argument))}]"
    if isinstance(argument, bytes):
        return f"({len(argument)} bytes)"
    if isinstance(argument, str) and "@" in argument:
        name, _, host = argument.partition("@")
        return f"{name[:1]}…@{host}"
    if isinstance(argument, str) and argument.startswith("$"):
        return "(a hash)"
    return "NULL" if argument is None else str(argument)


def _statistics(name: str, row: dict[str, Any]) -> Statistics:
    return Statistics(
        name=name,
        calls=row["calls"],
        rows=row["rows"],
        mean=row["mean"],
        most=row["most"],
        pages_hit=row["shared_blks_hit"],
        pages_read=row["shared_blks_read"],
    )
