"""A comparison as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from loadgen.durations import duration

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod

    from loadgen.compare import Comparison, Difference, Scale

HEADINGS = ("endpoint", "figure", "A", "B", "difference", "B / A", "within", "verdict")
_LEFT = frozenset({"endpoint", "figure", "verdict"})
_GAP = 2
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
    console.print(_table(comparison, console.width), crop=False)
    console.print(Text(summary_line(comparison)), soft_wrap=True)


def summary_line(comparison: Comparison) -> str:
    """Return the summary, with what could not be told."""
    line = comparison.summary[:1].upper() + comparison.summary[1:]
    unclear = sorted({each.endpoint for each in comparison.unclear})
    return f"{line}. Too few samples to tell of {', '.join(unclear)}." if unclear else f"{line}."


def _table(comparison: Comparison, width: int) -> Table:
    """Return the table without borders; where there is no room the differences are left out, as A and B tell them."""
    rows, before = [], None
    for each in comparison.differences:
        rows.append(_row(each, "" if each.endpoint == before else each.endpoint or "(all)"))
        before = each.endpoint
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    roomy = sum(widths) + _GAP * (len(widths) - 1) <= width
    shown = [column for column, heading in enumerate(HEADINGS) if roomy or heading != "difference"]
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
    for column in shown:
        justify: JustifyMethod = "left" if HEADINGS[column] in _LEFT else "right"
        table.add_column(HEADINGS[column], justify=justify, no_wrap=True, min_width=widths[column])
    for each, row in zip(comparison.differences, rows, strict=True):
        table.add_row(*(row[column] for column in shown), style=_STYLES.get(each.direction or "", ""))
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
    """Return the bounds of the ratio, or, of a share, of the difference in percent."""
    bounds, share = each.ratio_bounds or each.difference_bounds, each.ratio_bounds is None
    ends = ("?" if end is None else f"{100 * end:+.1f}" if share else f"{end:.2f}" for end in (bounds.low, bounds.high))
    return f"{' to '.join(ends)}{' %' if share else ''}"


def _value(value: float, scale: Scale) -> str:
    if scale == "seconds":
        return duration(value)
    return f"{value:.2%}".replace("%", " %") if scale == "share" else f"{value:.1f}/s"


def _signed(value: float, scale: Scale) -> str:
    return f"{'-' if value < 0 else '+'}{_value(abs(value), scale)}"
