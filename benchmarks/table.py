"""Rows of figures: what was measured, beside what, and whether it is good enough."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, TypedDict

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.driver import Cost


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One result.

    ``ours`` and ``theirs`` are for readers, units included; ``figures`` are the same for programs, named with their
    units (a rival's begin with ``rival_``). ``ratio`` is the median of ``pairs`` runs made in turn, ``lowest`` and ``highest`` their range.
    ``met`` is None where nothing was aimed at or nothing could be measured.
    """

    what: str
    conditions: str = ""
    ours: str = ""
    rival: str = ""
    theirs: str = ""
    ratio: float | None = None
    lowest: float | None = None
    highest: float | None = None
    pairs: int = 0
    target: str = ""
    met: bool | None = None
    figures: dict[str, float] = {}


class Ratio(TypedDict):
    """How ours compares, as a row has it."""

    ratio: float
    lowest: float
    highest: float
    pairs: int


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Compare runs made in turn, pair by pair: a drift of the machine's speed cancels out."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return Ratio(ratio=median(ratios), lowest=min(ratios), highest=max(ratios), pairs=len(ratios))


def paired(
    what: str, rival: str, connections: int, ours: Sequence[Cost], theirs: Sequence[Cost], at_most: float | None = None
) -> Row:
    """Compare CPU a request of runs made in turn."""
    ratio = ratio_of([run.cpu for run in ours], [run.cpu for run in theirs])
    return Row(
        what=what,
        conditions=f"{connections} connections",
        ours=_cost(ours),
        rival=rival,
        theirs=_cost(theirs),
        target="" if at_most is None else f"CPU ratio at most {at_most:g}",
        met=None if at_most is None else ratio["ratio"] <= at_most,
        figures={**_figures("", ours), **_figures("rival_", theirs)},
        **ratio,
    )


def faster(
    what: str, conditions: str, ours: Sequence[Cost], rival: str, theirs: Sequence[Cost], at_least: float
) -> Row:
    """Compare requests/s of runs made in turn."""
    ratio = ratio_of([run.rate for run in ours], [run.rate for run in theirs])
    return Row(
        what=what,
        conditions=conditions,
        ours=_cost(ours),
        rival=rival,
        theirs=_cost(theirs),
        target=f"requests/s at least {at_least:g} times",
        met=ratio["ratio"] >= at_least,
        figures={**_figures("", ours), **_figures("rival_", theirs)},
        **ratio,
    )


def markdown(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table."""
    lines = [
        "| what | under | ours | beside | its | ratio (range) | target | met |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        met = "" if row.met is None else "yes" if row.met else "**no**"
        cells = (row.what, row.conditions, row.ours, row.rival, row.theirs, _ratio(row), row.target, met)
        lines.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _cost(runs: Sequence[Cost]) -> str:
    return f"{median(run.cpu for run in runs) * 1e6:.0f} us CPU, {median(run.rate for run in runs):,.0f}/s"


def _figures(prefix: str, runs: Sequence[Cost]) -> dict[str, float]:
    return {
        f"{prefix}cpu_microseconds": median(run.cpu for run in runs) * 1e6,
        f"{prefix}requests_per_second": median(run.rate for run in runs),
        f"{prefix}driver_cores": median(run.driver for run in runs),
    }


def _ratio(row: Row) -> str:
    if row.ratio is None:
        return ""
    span = "" if row.lowest is None else f" ({row.lowest:.2f}-{row.highest:.2f}, {row.pairs} pairs)"
    return f"{row.ratio:.2f}{span}"
