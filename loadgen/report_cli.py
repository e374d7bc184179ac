"""The command line of telling a run again: ``gatewatch report RUN``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from loadgen.cli import Refused, exit_code
from loadgen.errors import LoadError
from loadgen.files import write_whole
from loadgen.flags import ALONE
from loadgen.history import find_result, read_result
from loadgen.report import print_report
from loadgen.reports import rendered, wanted

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT = "report"

_HELP = """Tell a run again: print its report, and make report.html in its folder anew.

RUN is the id of a run, its folder or its result.json; the latest if none is named. It ends with the exit code that the run had.
"""


def report_command(
    data_dir: Callable[[], Path] = lambda: Path(ALONE.data_dir), *, kept_in: str = ALONE.data_dir
) -> click.Command:
    """Return the command; ``data_dir`` and ``kept_in`` are those of `compare_command`."""
    path = click.Path(path_type=Path)

    @click.command(name=REPORT, help=_HELP)
    @click.argument("run", required=False)
    @click.option("--data-dir", "folder", metavar="DIR", type=path, help=f"Runs are in DIR/runs. [default: {kept_in}]")
    @click.option("--html", metavar="FILE", type=path, help="Leave the page here, and not in the run's folder.")
    @click.option("--junit", metavar="FILE", type=path, help="Leave the verdicts as JUnit XML here.")
    @click.pass_context
    def command(
        context: click.Context, run: str | None, folder: Path | None, html: Path | None, junit: Path | None
    ) -> None:
        try:
            found = find_result(folder or data_dir(), run)
            result = read_result(found)
            print_report(result, None, Console())
            for file, content in rendered(result, wanted(None if html else found.parent, html, junit)):
                write_whole(file, content)
                click.echo(f"Written to {file}")
        except LoadError as error:
            raise Refused(str(error)) from error
        context.exit(exit_code(result))

    return command
