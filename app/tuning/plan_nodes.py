"""PostgreSQL's plans in JSON, made readable: their steps, and what a developer should look at. Seconds, where it says milliseconds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from console.tuning import PlanNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Told = Mapping[str, Any]

MANY_ROWS = 1000
"""A table with more rows than this should not be read from end to end."""

FAR_OFF = 100
"""By what factor an estimate of rows may be wrong before it is told."""

_QUOTED = re.compile(r"'(?:[^']|'')*'")

_DETAILS = (
    "Index Cond",
    "Recheck Cond",
    "Hash Cond",
    "Merge Cond",
    "Join Filter",
    "Filter",
    "Rows Removed by Filter",
    "Rows Removed by Join Filter",
    "Sort Key",
    "Group Key",
    "Heap Fetches",
)


def nodes_of(told: Told, sql: str = "") -> tuple[PlanNode, ...]:
    """Return the steps of a plan, each after the one that it is for. Of what its conditions quote only what ``sql`` says is shown.

    PostgreSQL writes arguments into them: addresses, and hashes of tokens.
    """
    return tuple(_node(depth, plan, sql) for depth, plan in _walk(told["Plan"]))


def planning_of(told: Told) -> float | None:
    """Return the seconds that planning took, when it was run."""
    return _seconds(told.get("Planning Time"))


def execution_of(told: Told) -> float | None:
    """Return the seconds that it took to run."""
    return _seconds(told.get("Execution Time"))


def warnings_of(told: Told, rows: Mapping[str, int]) -> tuple[str, ...]:
    """Return what should be looked at, a sentence each; ``rows`` are those of each table."""
    return tuple(sentence for _, plan in _walk(told["Plan"]) for sentence in _warnings(plan, rows))


def _walk(plan: Told, depth: int = 0) -> Iterator[tuple[int, Told]]:
    yield depth, plan
    for below in plan.get("Plans", ()):
        yield from _walk(below, depth + 1)


def _node(depth: int, plan: Told, sql: str) -> PlanNode:
    loops = plan.get("Actual Loops")
    pages = [plan[name] for name in ("Shared Hit Blocks", "Shared Read Blocks") if name in plan]
    return PlanNode(
        depth=depth,
        title=_title(plan),
        details=tuple(f"{name}: {_covered(_text(plan[name]), sql)}" for name in _DETAILS if name in plan),
        cost=plan["Total Cost"],
        rows_expected=plan["Plan Rows"],
        rows=plan.get("Actual Rows"),
        loops=loops,
        seconds=_seconds(plan["Actual Total Time"] * loops)
        if loops is not None and "Actual Total Time" in plan
        else None,
        pages=sum(pages) if pages else None,
        sequential=plan["Node Type"] == "Seq Scan",
    )


def _title(plan: Told) -> str:
    title = str(plan["Node Type"])
    if plan.get("Operation"):
        title = str(plan["Operation"])
    if index := plan.get("Index Name"):
        title += f" using {index}"
    if table := plan.get("Relation Name"):
        title += f" on {table}"
    if name := plan.get("CTE Name"):
        title += f" of {name}"
    return title


def _warnings(plan: Told, rows: Mapping[str, int]) -> Iterator[str]:
    table = plan.get("Relation Name", "")
    if plan["Node Type"] == "Seq Scan" and rows.get(table, 0) > MANY_ROWS:
        yield f"It reads all of {table} from end to end, about {rows[table]:,} rows; an index would spare that."
    actual, expected = plan.get("Actual Rows"), plan["Plan Rows"]
    if actual is not None and plan.get("Actual Loops"):
        more, less = max(actual, expected, 1), max(min(actual, expected), 1)
        if more / less > FAR_OFF:
            yield (
                f"{_title(plan)} was expected to give {expected:,.10g} rows and gave {actual:,.10g}: "
                f"PostgreSQL knows too little of the table; ANALYZE {table or 'its tables'} may help."
            )
    if plan.get("Sort Space Type") == "Disk":
        yield f"It sorts on disk, {plan.get('Sort Space Used', 0):,} kB; more work_mem or an index in that order would spare that."


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _covered(text: str, sql: str) -> str:
    return _QUOTED.sub(lambda found: found[0] if found[0] in sql else "'…'", text)


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
