"""The command line of comparing: ``gatewatch compare A B``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console

from loadgen.compare import compare
from loadgen.compare_report import print_comparison
from loadgen.errors import HistoryError, LoadError
from loadgen.flags import ALONE
from loadgen.history import find_result, read_result, read_runs
from loadgen.results import RESULT_FILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.compare import Comparison

COMPARE = "compare"
NOT_WORSE, WORSE, UNUSABLE, UNCLEAR = 0, 1, 2, 3

_LOOKED_THROUGH = 50
"""Runs of the history among which the last two that ended are looked for."""

_HELP = """Compare run B to run A: what really changed, and what is only noise.

A and B are ids of runs, their folders or their result.json. Without B it is the latest run; without both, the latest two, the
older one first.
"""
_EXIT_CODES = """\b
Exit codes:
    0  nothing is really worse in B
    1  something is
    2  the runs cannot be compared, or not be read
    3  cannot tell: nothing is worse, but some endpoint has too few samples
"""


class _Refused(click.ClickException):
    exit_code = UNUSABLE


def compare_command(
    data_dir: Callable[[], Path] = lambda: Path(ALONE.data_dir), *, kept_in: str = ALONE.data_dir
) -> click.Command:
    """Return the command; ``data_dir`` is where runs are if no flag says it, and ``kept_in`` how the help says it."""

    @click.command(name=COMPARE, help=_HELP, epilog=_EXIT_CODES)
    @click.argument("a", required=False)
    @click.argument("b", required=False)
    @click.option(
        "--data-dir",
        "folder",
        metavar="DIR",
        type=click.Path(path_type=Path),
        help=f"Runs are in DIR/runs. [default: {kept_in}]",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
    @click.pass_context
    def command(context: click.Context, a: str | None, b: str | None, folder: Path | None, *, as_json: bool) -> None:
        try:
            before, after = _meant(folder or data_dir(), a, b)
            found = compare(read_result(before), read_result(after))
        except LoadError as error:
            raise _Refused(str(error)) from error
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(found)))
        else:
            print_comparison(found, Console())
        context.exit(exit_code(found))

    return command


def exit_code(comparison: Comparison) -> int:
    """Return what the process ends with."""
    if comparison.worse:
        return WORSE
    return UNCLEAR if comparison.unclear else NOT_WORSE


def _meant(data_dir: Path, a: str | None, b: str | None) -> tuple[Path, Path]:
    """Return the two files that are meant; raise HistoryError when there are none."""
    if a is None:
        runs = data_dir / "runs"
        ended = [runs / run.run / RESULT_FILE for run in read_runs(data_dir, _LOOKED_THROUGH) if run.state == "done"]
        there = [path for path in ended if path.is_file()]
        if len(there) < 2:  # noqa: PLR2004 - two are compared
            raise HistoryError(f"{runs} holds no two runs that came to their end; name them")
        return there[1], there[0]
    return find_result(data_dir, a), find_result(data_dir, b)
