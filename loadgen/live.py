"""The picture of a run that goes on, as a person at a terminal sees it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadgen.durations import clock_time, duration, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from loadgen.results import EndpointStatus, RunStatus

_GAP = "  "
_MOST_KINDS = 4


class Pace(msgspec.Struct, frozen=True):
    """Requests a second between two looks: how many fell due, and how many came to an end."""

    planned: float
    achieved: float

    @classmethod
    def between(cls, before: RunStatus | None, status: RunStatus) -> Self | None:
        """Return the pace between two statuses; None where nothing was sent before, or no time has passed."""
        if before is None or before.state == "preparing" or status.elapsed <= before.elapsed:
            return None
        seconds = status.elapsed - before.elapsed
        return cls((status.due - before.due) / seconds, (status.completed - before.completed) / seconds)


class _Figure(NamedTuple):
    """A column of the table. ``rank`` says what goes first where there is no room: the highest."""

    heading: str
    rank: int
    texts: tuple[str, ...]
    styles: tuple[str, ...]


def picture(status: RunStatus, pace: Pace | None, width: int) -> Iterator[RenderableType]:
    """Yield what is drawn, from top to bottom, fit for a terminal of this many columns."""
    yield _line(width, Text.assemble((status.scenario, "bold"), f" against {status.target}"), Text(_state(status)))
    if status.state == "preparing":
        yield _bar(status.prepared, status.users, width)
        return
    yield _bar(status.elapsed, status.seconds, width)
    left = clock_time(max(0.0, status.seconds - status.elapsed))
    done = (
        f"{status.completed:,} of {status.planned:,} requests" if status.planned else f"{status.completed:,} requests"
    )
    yield _line(width, Text(done), Text(f"{clock_time(status.elapsed)} of {clock_time(status.seconds)}, {left} left"))
    yield Text()
    yield _figures(status, pace, width)
    yield Text()
    yield _table(status.endpoints, width)
    if kinds := _kinds(status):
        yield Text(f"errors: {kinds}", style="red", overflow="ellipsis", no_wrap=True)
    yield Text("Ctrl-C: end with the report. Twice: at once.", style="dim")


def _line(width: int, left: Text, right: Text) -> Table:
    """Return a line with something at both ends; what is at the right is kept where there is not room for both."""
    line = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    line.width = width
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True, overflow="ellipsis")
    line.add_row(left, right)
    return line


def _state(status: RunStatus) -> str:
    if status.state == "preparing":
        return f"preparing users: {status.prepared} of {status.users}"
    return status.message or status.state


def _bar(done: float, total: float, width: int) -> Table:
    """Return how far it is; in a table, as a bar alone does not end its line."""
    line = Table.grid()
    bar = ProgressBar(
        total=max(total, 1e-9), completed=min(done, total), width=width, complete_style="cyan", finished_style="cyan"
    )
    line.add_row(bar)
    return line


def _figures(status: RunStatus, pace: Pace | None, width: int) -> Table:
    """Return what is told of the run as a whole: as many pairs of name and figure in a row as there is room for."""
    errors = f"{status.errors:,}" + (f" ({share(status.errors / status.completed)})" if status.errors else "")
    pairs = [
        ("rate", f"{status.rate:,.1f}/s" if pace is None else f"{pace.achieved:,.1f} of {pace.planned:,.1f}/s"),
        ("errors", errors),
        ("in flight", f"{status.in_flight:,}"),
        ("waiting", f"{status.waiting:,}"),
        ("lag p99", duration(status.lag_p99)),
        ("p50", duration(status.p50)),
        ("p95", duration(status.p95)),
        ("p99", duration(status.p99)),
    ]
    in_row = 4 if width >= 76 else 2 if width >= 40 else 1  # noqa: PLR2004 - a pair takes 19 columns
    table = Table.grid(padding=(0, 3, 0, 0))
    for start in range(0, len(pairs), in_row):
        table.add_row(
            *(
                Text.assemble(
                    (f"{name} ", "dim"), (figure, "bold red" if name == "errors" and status.errors else "bold")
                )
                for name, figure in pairs[start : start + in_row]
            )
        )
    return table


def _table(endpoints: tuple[EndpointStatus, ...], width: int) -> Table:
    """Return the endpoints with as many of their figures as there is room for."""

    def figure(heading: str, rank: int, texts: list[str], styles: list[str] | None = None) -> _Figure:
        return _Figure(heading, rank, tuple(texts), tuple(styles or [""] * len(texts)))

    figures = [
        figure("endpoint", 0, [each.name for each in endpoints]),
        figure("count", 3, [f"{each.count:,}" for each in endpoints]),
        figure(
            "errors", 1, [f"{each.errors:,}" for each in endpoints], [_red(bool(each.errors)) for each in endpoints]
        ),
        figure("p50", 4, [duration(each.p50) for each in endpoints]),
        figure("p95", 0, [duration(each.p95) for each in endpoints], [_red(_over(each)) for each in endpoints]),
        figure("p99", 5, [duration(each.p99) for each in endpoints]),
        figure("target p95", 2, ["-" if each.target is None else f"< {duration(each.target)}" for each in endpoints]),
    ]
    while len(figures) > 1 and _wide(figures) > width:
        figures.remove(max(figures, key=lambda each: each.rank))
    table = Table.grid(padding=(0, len(_GAP), 0, 0))
    for position, _ in enumerate(figures):
        table.add_column(justify="right" if position else "left", no_wrap=True, overflow="ellipsis")
    table.add_row(*(Text(each.heading, style="dim") for each in figures))
    for row in range(len(endpoints)):
        table.add_row(*(Text(each.texts[row], style=each.styles[row]) for each in figures))
    return table


def _wide(figures: list[_Figure]) -> int:
    return sum(max(map(len, (each.heading, *each.texts))) + len(_GAP) for each in figures) - len(_GAP)


def _red(wrong: bool) -> str:  # noqa: FBT001 - it is said in the name
    return "red" if wrong else ""


def _over(endpoint: EndpointStatus) -> bool:
    return endpoint.p95 is not None and endpoint.target is not None and endpoint.p95 >= endpoint.target


def _kinds(status: RunStatus) -> str:
    """Return how requests failed, the most frequent kinds first."""
    kinds: Counter[str] = Counter()
    for endpoint in status.endpoints:
        kinds.update(endpoint.failures)
    shown = [f"{count:,} {kind}" for kind, count in kinds.most_common(_MOST_KINDS)]
    if others := sum(kinds.values()) - sum(count for _, count in kinds.most_common(_MOST_KINDS)):
        shown.append(f"{others:,} other")
    return ", ".join(shown)
