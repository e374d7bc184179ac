"""The command line: ``gatewatch load SCENARIO``, or ``python -m loadgen SCENARIO`` alone.

The exit codes are told in the help.
"""

from __future__ import annotations

import asyncio
import math
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import uvloop
from rich.console import Console

from loadgen.errors import FolderError, LoadError, PlanError
from loadgen.plan import change_scenario, load_scenario, scenarios
from loadgen.progress import progress_on
from loadgen.report import print_report
from loadgen.results import RUN_ID, Result, RunFolder, new_run_id
from loadgen.runner import Order, Progress, Runner
from loadgen.scenario import MOST_PROCESSES, MOST_RATE, MOST_SECONDS, MOST_USERS
from loadgen.target import parse_target, reach, tls_context
from observability.model import Slo, SloError, load_slo

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.scenario import Scenario

PASSED, FAILED, UNUSABLE, UNJUDGED, INTERRUPTED = 0, 1, 2, 3, 130

_CHANGES = {
    "users": ("--users", MOST_USERS),
    "rate_per_minute": ("--rate", MOST_RATE),
    "seconds": ("--duration", MOST_SECONDS),
    "connections": ("--connections", MOST_USERS),
    "processes": ("--processes", MOST_PROCESSES),
}
"""Which flag changes which field of the scenario, and how large the value may be."""

_STAGED = frozenset({"users", "rate_per_minute", "seconds"})
"""What stages say, and a flag therefore cannot."""


DEFAULT_TARGET = "http://127.0.0.1:8000"
_EXIT_CODES = """\b
Exit codes:
    0  passed
    1  failed
    2  could not be run
    3  not valid, or too few samples to judge
  130  interrupted
"""


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What holds where a flag does not say otherwise. Without a targets file nothing is judged but the error rate."""

    target: str = DEFAULT_TARGET
    slo: Path | None = None
    data_dir: Path = Path(".data")


class Refused(click.ClickException):
    """Ends the command with one line on stderr."""

    exit_code = UNUSABLE


def load_command(
    defaults: Callable[[], Defaults] = Defaults, *, aims_at: str = DEFAULT_TARGET, more: str = ""
) -> click.Command:
    """Return the command; ``defaults`` is called only when a run is to begin, and may raise LoadError.

    ``aims_at`` says in the help what the default target is, and ``more`` what else a host has to say there.
    """

    @click.command(name="load", help=_help(more), epilog=_EXIT_CODES)
    @click.argument("scenario")
    @click.option(
        "--target",
        metavar="URL",
        help=f"Where the service is, as http://host:port or https://host:port. [default: {aims_at}]",
    )
    @click.option("--slo", metavar="FILE", type=click.Path(path_type=Path), help="The targets to judge by (slo.toml).")
    @click.option("--data-dir", metavar="DIR", type=click.Path(path_type=Path), help="The run is kept in DIR/runs/ID.")
    @click.option("--run-id", metavar="ID", help="Name of the run; made up if not given.")
    @click.option("--seed", type=int, help="Order of the requests; the same seed gives the same order.")
    @click.option("--duration", "seconds", metavar="SECONDS", type=float, help="Another length.")
    @click.option("--rate", "rate_per_minute", metavar="PER_MINUTE", type=float, help="Another rate.")
    @click.option("--users", type=int, help="Another number of virtual users.")
    @click.option("--connections", type=int, help="Most requests in flight, if fewer than users.")
    @click.option("--processes", type=int, help="Processes that send; one for each core that they may have.")
    @click.option("--arrivals", type=click.Choice(("constant", "poisson")), help="Evenly spaced, or random.")
    @click.option("--ca", metavar="FILE", type=click.Path(path_type=Path), help="Certificates to trust, for https.")
    @click.option("--samples", is_flag=True, help="Keep every request, in compact files in the run's folder.")
    @click.pass_context
    def load(
        context: click.Context,
        /,
        scenario: str,
        target: str | None,
        slo: Path | None,
        data_dir: Path | None,
        run_id: str | None,
        ca: Path | None,
        *,
        samples: bool,
        **changes: float | str | None,
    ) -> None:
        try:
            base = defaults()
            known = load_scenario(scenario)
            plan = change_scenario(known, _given(known, changes))
            run = _run_id(run_id, plan.name)
            targets = slo or base.slo
            order = Order(
                scenario=plan,
                target=parse_target(target or base.target),
                slo=load_slo(targets) if targets else Slo(),
                run=run,
                authority=ca,
                samples=samples,
            )
            code = run_order(order, RunFolder(data_dir or base.data_dir, run))
        except (LoadError, SloError) as error:
            raise Refused(str(error)) from error
        context.exit(code)

    return load


def run_order(order: Order, folder: RunFolder) -> int:
    """Run an order, showing progress on stderr and the report on stdout; return the exit code.

    Raises LoadError when it cannot be run, and FolderError after the report when that cannot be written.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(reach(order.target, tls_context(order.target, order.authority)))
        with progress_on(Console(stderr=True)) as progress:
            result = runner.run(_run(order, folder, progress))
    fault = _write(result, folder)
    print_report(result, None if fault else folder.path, Console())
    if fault:
        raise fault
    return exit_code(result)


def exit_code(result: Result) -> int:
    """Return what the process ends with."""
    status = result.status
    if status.state == "interrupted":
        return INTERRUPTED
    if status.validity != "VALID" or status.verdict not in {"PASS", "FAIL"}:
        return UNJUDGED
    return PASSED if status.verdict == "PASS" else FAILED


def _write(result: Result, folder: RunFolder) -> FolderError | None:
    """Write the result, then the status, so that whoever reads "done" finds the result; return what prevented it."""
    try:
        folder.write_result(result)
        folder.write_status(result.status)
    except FolderError as error:
        return error
    return None


async def _run(order: Order, folder: RunFolder, progress: Progress) -> Result:
    runner = Runner(order, folder, progress)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, runner.interrupt)
    return await runner.run()


def _given(scenario: Scenario, changes: dict[str, float | str | None]) -> dict[str, object]:
    """Return the changes that were asked for; raise PlanError, naming the flag, for one that cannot be."""
    given: dict[str, object] = {name: value for name, value in changes.items() if value is not None}
    for name, (flag, most) in _CHANGES.items():
        value = changes.get(name)
        if value is None or isinstance(value, str):
            continue
        if math.isnan(value) or value <= 0:
            raise PlanError(f"{flag} must be above 0")
        if value > most:
            raise PlanError(f"{flag} must be {most:,} or less")
        if name in _STAGED and scenario.stage:
            raise PlanError(f"{flag} contradicts the stages of scenario {scenario.name}, which say it")
        if name == "rate_per_minute" and scenario.shape == "closed":
            raise PlanError(
                f"{flag} contradicts scenario {scenario.name}: it is closed, its users and their thinking decide"
            )
    return given


def _run_id(given: str | None, scenario: str) -> str:
    if given is None:
        return new_run_id(scenario, time.time())
    if not RUN_ID.fullmatch(given):
        raise LoadError(f"--run-id {given!r} must be letters, digits and hyphens, 55 at most, beginning with no hyphen")
    return given


def _help(more: str) -> str:
    known = "; ".join(f"{scenario.name} ({scenario.summary})" for scenario in scenarios())
    return f"Send honest load and judge the answers.\n\nSCENARIO is the path of a .toml file, or one of: {known}.\n\n{more}"


load = load_command()
