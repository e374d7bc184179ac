"""A comparison as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from loadgen.durations import duration

if TYPE_CHECKING:
    from rich.console import Console

    from loadgen.compare import Bounds, Comparison, Difference, Scale

HEADINGS = ("endpoint", "figure", "A", "B", "difference", "B / A", "within", "verdict")
_LEFT = frozenset({"endpoint", "figure", "verdict"})
_STYLES = {"worse": "bold red", "better": "green"}
_PLAIN_WIDTH = 160
"""Columns where nobody's terminal says how many there are; no row needs more."""


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print which runs they are, what differs around them, every figure, and the summary."""
    for letter, run in (("A", comparison.a), ("B", comparison.b)):
        console.print(Text(f"{letter}  {run}"), soft_wrap=True)
    for change in comparison.changes:
        console.print(Text(f"{change.name}: {change.a} -> {change.b}"), soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, _PLAIN_WIDTH)
    console.print(_table(comparison), crop=False)
    console.print(Text(summary_line(comparison)), soft_wrap=True)


def summary_line(comparison: Comparison) -> str:
    """Return the summary, with what could not be told."""
    line = comparison.summary[:1].upper() + comparison.summary[1:]
    unclear = sorted({each.endpoint for each in comparison.unclear})
    return f"{line}. Too few samples to tell of {', '.join(unclear)}." if unclear else f"{line}."


def _table(comparison: Comparison) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in _LEFT else "right", no_wrap=True)
    before = ""
    for each in comparison.differences:
        name = "(all)" if not each.endpoint else each.endpoint
        table.add_row(*_row(each, "" if name == before else name), style=_STYLES.get(each.direction or "", ""))
        before = name
    return table


def _row(each: Difference, name: str) -> tuple[str, ...]:
    return (
        name,
        each.figure,
        _value(each.a, each.scale),
        _value(each.b, each.scale),
        _signed(each.difference, each.scale),
        "-" if each.ratio is None else f"{each.ratio:.2f}",
        _within(each),
        f"{each.word}, {each.direction}" if each.direction else each.word,
    )


def _within(each: Difference) -> str:
    """Return the bounds of the ratio, or, of a share, of the difference."""
    bounds: Bounds = each.ratio_bounds or each.difference_bounds
    low, high = (_bound(bound, None if each.ratio_bounds else each.scale) for bound in (bounds.low, bounds.high))
    return f"{low or 'anything'} to {high or 'anything'}"


def _bound(value: float | None, scale: Scale | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if scale is None else _signed(value, scale)


def _value(value: float, scale: Scale) -> str:
    if scale == "seconds":
        return duration(value)
    return f"{value:.2%}".replace("%", " %") if scale == "share" else f"{value:.1f}/s"


def _signed(value: float, scale: Scale) -> str:
    return f"{'-' if value < 0 else '+'}{_value(abs(value), scale)}"
