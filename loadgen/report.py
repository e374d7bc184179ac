"""The report at the end: a table at a terminal, the same rows as plain aligned lines anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from loadgen.durations import clock_time, duration, span
from loadgen.reports import REPORT_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console, JustifyMethod

    from loadgen.results import EndpointStatus, Result, RunStatus

HEADINGS = ("endpoint", "request", "count", "errors", "p50", "p95", "95 % sure", "p99", "target p95", "verdict")
_REQUEST = HEADINGS.index("request")
_DISPENSABLE = (_REQUEST, HEADINGS.index("95 % sure"))
"""Left out, in this order, where there is no room for them; the other figures never are."""

_GAP = "  "
_LONGEST, _MOST_EXAMPLES = 160, 3
_STYLES = {"PASS": "green", "FAIL": "bold red", "TOO FEW": "yellow", "VALID": "green", "INVALID": "bold red"}


def print_report(result: Result, folder: Path | None, console: Console) -> None:
    """Print the whole report; ``folder`` is where it was written, None if it could not be."""
    status = result.status
    rows = [_row(endpoint) for endpoint in status.endpoints]
    if console.is_terminal:
        console.print(_table(rows, status, console.width), crop=False)
    else:
        for line in _aligned([HEADINGS, *rows]):
            console.out(line, highlight=False)
    for line in summary_lines(result, folder):
        console.print(_coloured(line), soft_wrap=True)


def summary_lines(result: Result, folder: Path | None) -> list[str]:
    """Return what stands below the table: the load, what failed and how, the judgement, and where everything is."""
    status = result.status
    load = (
        f"{status.completed:,} of {status.planned:,} requests in {clock_time(status.elapsed)}, {status.rate:.1f}/s; "
        f"overall p50 {duration(status.p50)}, p95 {duration(status.p95)}, p99 {duration(status.p99)}"
    )
    lines = [
        load,
        _errors(result),
        *_examples(result),
        f"generator lag p99 {duration(status.lag_p99)} (allowed {duration(result.lag_allowed)}), {_cpu(result)}",
    ]
    lines += _service(result)
    if status.state == "interrupted":
        lines.append("Run: INTERRUPTED, so there is no verdict on the whole")
    else:
        reason = f" - {status.message}" if status.message else ""
        lines.append(f"Run: {status.verdict or 'NO VERDICT'}, {status.validity or 'INVALID'}{reason}")
    if folder is not None:
        lines.append(f"Written to {folder}; {REPORT_FILE} there is the page to show")
    return lines


def _errors(result: Result) -> str:
    status = result.status
    if not status.errors:
        return "no errors"
    kinds = [
        f"{endpoint.name}: {count} {kind}" for endpoint in result.endpoints for kind, count in endpoint.failures.items()
    ]
    shed = f", {status.shed:,} of them shed (503 or 429)" if status.shed else ""
    return f"{status.errors:,} {'error' if status.errors == 1 else 'errors'}{shed}: {', '.join(kinds)}"


def _examples(result: Result) -> list[str]:
    """Return what was said when the first failures of some kinds happened; a target may have said anything."""
    told: dict[str, str] = {}
    for endpoint in result.endpoints:
        for example in endpoint.examples:
            if example.detail:
                said = "".join(letter if letter.isprintable() else "?" for letter in example.detail[:_LONGEST])
                told.setdefault(example.outcome, f"  {example.outcome}, {endpoint.name}: {said}")
    return list(told.values())[:_MOST_EXAMPLES]


def _service(result: Result) -> list[str]:
    """Return what is to be said of the service's own figures."""
    if result.service is not None and not result.service.samples:
        return [f"no figures of the service itself; {result.service.fault}"]
    return [f"{trend.says}: {trend.verdict}" for trend in result.trends]


def _cpu(result: Result) -> str:
    if not result.status.elapsed:
        return "no CPU figure"
    return f"{result.cpu / result.status.elapsed:.1%} of one core".replace("%", " %")


def _row(endpoint: EndpointStatus) -> tuple[str, ...]:
    target = "-" if endpoint.target is None else f"< {duration(endpoint.target)}"
    return (
        endpoint.name,
        f"{endpoint.method} {endpoint.route}",
        f"{endpoint.count:,}",
        f"{endpoint.errors:,}",
        duration(endpoint.p50),
        duration(endpoint.p95),
        span(endpoint.p95_interval),
        duration(endpoint.p99),
        target,
        endpoint.verdict or "-",
    )


def _table(rows: Sequence[Sequence[str]], status: RunStatus, width: int) -> Table:
    """Return the table without borders."""
    table = Table(
        title=f"{status.scenario} against {status.target}",
        title_justify="left",
        box=None,
        padding=(0, len(_GAP), 0, 0),
        pad_edge=False,
    )
    widths = _widths(rows)
    shown = list(range(len(HEADINGS)))
    for least in _DISPENSABLE:
        if sum(widths[position] + len(_GAP) for position in shown) - len(_GAP) > width:
            shown.remove(least)
    for position in shown:
        justify: JustifyMethod = "left" if _is_word(position) else "right"
        table.add_column(HEADINGS[position], justify=justify, no_wrap=True, min_width=widths[position])
    for row in rows:
        table.add_row(*(Text(row[position], style=_STYLES.get(row[position], "")) for position in shown))
    return table


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = _widths(rows)
    return [
        _GAP.join(
            cell.ljust(width) if _is_word(column) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(row[column]) for row in (HEADINGS, *rows)) for column in range(len(HEADINGS))]


def _is_word(column: int) -> bool:
    return column <= _REQUEST or column == len(HEADINGS) - 1


def _coloured(line: str) -> Text:
    text = Text(line)
    if line.startswith("Run: "):
        for word, style in _STYLES.items():
            text.highlight_regex(rf"\b{word}\b", style)
    return text
