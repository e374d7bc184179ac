"""Rows of figures: pairs measured in turn, their median ratio and its range."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.driver import Cost


class Row(msgspec.Struct, frozen=True):
    """One comparison. CPU is microseconds a request, rates are requests/s, both medians; the ratio is of CPU, ours to theirs."""

    what: str
    rival: str
    connections: int
    pairs: int
    cpu: float
    rival_cpu: float
    rate: float
    rival_rate: float
    ratio: float
    lowest: float
    highest: float


def paired(what: str, rival: str, connections: int, ours: Sequence[Cost], theirs: Sequence[Cost]) -> Row:
    """Compare runs made in turn, pair by pair: a drift of the machine's speed cancels out."""
    ratios = [mine.cpu / other.cpu for mine, other in zip(ours, theirs, strict=True)]
    return Row(
        what=what,
        rival=rival,
        connections=connections,
        pairs=len(ratios),
        cpu=median(cost.cpu for cost in ours) * 1e6,
        rival_cpu=median(cost.cpu for cost in theirs) * 1e6,
        rate=median(cost.rate for cost in ours),
        rival_rate=median(cost.rate for cost in theirs),
        ratio=median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
    )


def markdown(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table."""
    lines = [
        "| what | connections | CPU a request | requests/s | beside | its CPU | its requests/s | CPU ratio (range of pairs) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.what} | {row.connections} | {row.cpu:.0f} us | {row.rate:,.0f} | {row.rival} | {row.rival_cpu:.0f} us "
        f"| {row.rival_rate:,.0f} | {row.ratio:.2f} ({row.lowest:.2f}-{row.highest:.2f}, {row.pairs} pairs) |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"
