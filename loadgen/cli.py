"""The command line: ``gatewatch load SCENARIO``, or ``python -m loadgen SCENARIO`` alone.

The exit codes are told in the help.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import uvloop
from rich.console import Console

from loadgen.errors import FolderError, LoadError
from loadgen.files import write_whole
from loadgen.flags import ALONE, Defaults, Told, changed, folder_of, ordered, sending
from loadgen.plan import load_scenario, scenarios
from loadgen.progress import JsonProgress, progress_on
from loadgen.report import print_report
from loadgen.reports import NONE_WANTED, Wanted, rendered, wanted
from loadgen.runner import Order, Progress, Runner
from loadgen.target import reach, tls_context
from observability.model import SloError

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.results import Result, RunFolder


PASSED, FAILED, UNUSABLE, UNJUDGED, INTERRUPTED = 0, 1, 2, 3, 130

_NAME = 12  # characters of the longest name of a scenario, and what sets its summary off
_EXIT_CODES = """\b
Exit codes:
    0  passed
    1  failed
    2  could not be run
    3  not valid, or too few samples to judge
  130  interrupted
"""


class Refused(click.ClickException):
    """Ends the command with one line on stderr."""

    exit_code = UNUSABLE


def load_command(defaults: Callable[[], Defaults] = Defaults, *, told: Told = ALONE, more: str = "") -> click.Command:
    """Return the command; ``defaults`` is called only when a run is to begin, and may raise LoadError.

    ``told`` is what the help says of them, and ``more`` what else a host has to say there.
    """

    @click.command(name="load", help=_help(more), epilog=_EXIT_CODES)
    @click.argument("scenario")
    @sending(told)
    @click.option("--duration", "seconds", metavar="SECONDS", type=float, help="Another length than the scenario's.")
    @click.option(
        "--rate", "rate_per_minute", metavar="PER_MINUTE", type=float, help="Another rate than the scenario's."
    )
    @click.option("--samples", is_flag=True, help="Keep every request, in compact files in the run's folder.")
    @click.option("--html", metavar="FILE", type=click.Path(path_type=Path), help="Also leave report.html here.")
    @click.option(
        "--junit", metavar="FILE", type=click.Path(path_type=Path), help="Leave the verdicts as JUnit XML here."
    )
    @click.option("--json-lines", is_flag=True, help="Tell the run on stdout, a line of JSON a second.")
    @click.pass_context
    def load(
        context: click.Context,
        /,
        scenario: str,
        html: Path | None,
        junit: Path | None,
        *,
        samples: bool,
        json_lines: bool,
        **flags: Any,
    ) -> None:
        try:
            base = defaults()
            order = ordered(changed(load_scenario(scenario), flags), base, flags, samples=samples)
            folder = folder_of(order, base, flags)
            code = run_order(order, folder, wanted(folder.path, html, junit), json_lines=json_lines)
        except (LoadError, SloError) as error:
            raise Refused(str(error)) from error
        context.exit(code)

    return load


def run_order(order: Order, folder: RunFolder, reports: Wanted = NONE_WANTED, *, json_lines: bool = False) -> int:
    """Run an order, showing progress on stderr and the report on stdout; return the exit code.

    With ``json_lines`` stdout has nothing but statuses, the last one with the verdict, and the report is on stderr.
    Raises LoadError when it cannot be run, and FolderError after the report when something of it cannot be written.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(reach(order.target, tls_context(order.target, order.authority)))
        with JsonProgress(sys.stdout) if json_lines else progress_on(Console(stderr=True)) as progress:
            result = runner.run(_run(order, folder, progress))
            if json_lines:
                progress.show(result.status)
    faults = _write(result, folder, reports)
    print_report(result, None if faults else folder.path, Console(stderr=json_lines))
    if faults:
        raise FolderError("; ".join(map(str, faults)))
    return exit_code(result)


def exit_code(result: Result) -> int:
    """Return what the process ends with."""
    status = result.status
    if status.state == "interrupted":
        return INTERRUPTED
    if status.validity != "VALID" or status.verdict not in {"PASS", "FAIL"}:
        return UNJUDGED
    return PASSED if status.verdict == "PASS" else FAILED


def _write(result: Result, folder: RunFolder, reports: Wanted) -> list[FolderError]:
    """Write the result, what is made of it, and then the status, so that whoever reads "done" finds them.

    Returns what prevented some of it: the verdict is told all the same.
    """
    writes: list[Callable[[], None]] = [partial(folder.write_result, result)]
    writes += [partial(write_whole, path, content) for path, content in rendered(result, reports)]
    writes += [partial(folder.write_status, result.status)]
    faults = []
    for write in writes:
        try:
            write()
        except FolderError as error:
            faults.append(error)
    return faults


async def _run(order: Order, folder: RunFolder, progress: Progress) -> Result:
    runner = Runner(order, folder, progress)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, runner.interrupt)
    return await runner.run()


def _help(more: str) -> str:
    known = "\n".join(f"  {scenario.name:{_NAME}}{scenario.summary}" for scenario in scenarios())
    return (
        "Send honest load and judge the answers.\n\n"
        f"SCENARIO is the path of a .toml file, or one of these:\n\n\b\n{known}\n\n{more}"
    )
