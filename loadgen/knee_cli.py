"""The command line of the search: ``gatewatch load knee``, or ``python -m loadgen knee``."""

from __future__ import annotations

import asyncio
import math
import signal
from typing import TYPE_CHECKING, Any

import click
import msgspec
import uvloop
from rich.console import Console

from loadgen.cli import FAILED, INTERRUPTED, PASSED, UNJUDGED, Refused
from loadgen.errors import LoadError, PlanError
from loadgen.files import write_whole
from loadgen.flags import ALONE, Defaults, Told, changed, folder_of, ordered, sending
from loadgen.knee import KneeOrder, KneeRun
from loadgen.knee_result import KNEE_FILE, knee_lines, step_line
from loadgen.plan import load_scenario
from loadgen.progress import progress_on
from loadgen.scenario import MOST_RATE
from loadgen.target import reach, tls_context
from observability.model import SloError

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.knee_result import Knee
    from loadgen.results import RunFolder
    from loadgen.scenario import Scenario

KNEE = "knee"
MOST_STEP = 900
"""Seconds that a step may take, so that its seconds stay apart."""

_LONGEST_ID = 52  # A step's id has two digits and a hyphen more.
_EXIT_CODES = """\b
Exit codes:
    0  found, or everything up to --to was met
    1  even the lowest rate was too much
    2  could not be run
    3  the generator, not the service, was at its end
  130  interrupted
"""


def knee_command(defaults: Callable[[], Defaults] = Defaults, *, told: Told = ALONE) -> click.Command:
    """Return the command; what ``defaults`` and ``told`` are, `load_command` says."""

    @click.command(name=KNEE, epilog=_EXIT_CODES)
    @click.option(
        "--scenario",
        metavar="SCENARIO",
        default=KNEE,
        show_default=True,
        help="Whose requests are sent: a name, or the path of a .toml file.",
    )
    @click.option(
        "--from",
        "rate_per_minute",
        metavar="PER_MINUTE",
        type=float,
        help="The first rate to try. [default: the scenario's]",
    )
    @click.option(
        "--to",
        "most",
        metavar="PER_MINUTE",
        type=float,
        default=MOST_RATE,
        help=f"The last rate to try. [default: {MOST_RATE:,}]",
    )
    @click.option(
        "--step-seconds",
        "seconds",
        metavar="SECONDS",
        type=int,
        help="How long each rate is measured; a quarter more is to warm up. [default: the scenario's length]",
    )
    @sending(told)
    @click.pass_context
    def knee(context: click.Context, /, scenario: str, most: float, **flags: Any) -> None:
        """Find the highest rate that meets the targets, and what runs out beyond it.

        Rates rise until one is missed twice; then the gap is halved until its ends are within five percent.
        """
        try:
            base = defaults()
            plan = _searchable(changed(load_scenario(scenario), flags))
            order = ordered(plan, base, flags | {"run_id": _run_id(flags["run_id"])})
            if not plan.rate_per_minute <= most <= MOST_RATE:
                raise PlanError(f"--to must be from {plan.rate_per_minute:,.0f}, the first rate, to {MOST_RATE:,}")
            search = KneeOrder(order, most, math.ceil(plan.length))
            code = _search(search, folder_of(order, base, flags))
        except (LoadError, SloError) as error:
            raise Refused(str(error)) from error
        context.exit(code)

    return knee


def _searchable(plan: Scenario) -> Scenario:
    if plan.stage or plan.shape == "closed":
        raise PlanError(f"scenario {plan.name} has no one rate that could be changed")
    if plan.length > MOST_STEP:
        raise PlanError(f"--step-seconds must be {MOST_STEP} or less; scenario {plan.name} has {plan.length:,.0f}")
    return plan


def _run_id(given: str | None) -> str | None:
    if given is not None and len(given) > _LONGEST_ID:
        raise LoadError(f"--run-id may have {_LONGEST_ID} characters here: each step has one of its own")
    return given


def _search(search: KneeOrder, folder: RunFolder) -> int:
    order = search.order
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(reach(order.target, tls_context(order.target, order.authority)))
        screen = Console(stderr=True)
        with progress_on(screen) as progress:
            run = KneeRun(search, folder, progress, lambda step: screen.out(step_line(step), highlight=False))
            knee = runner.run(_run(run))
    console = Console()
    for line in knee_lines(knee):
        console.out(line, highlight=False)
    write_whole(folder.path / KNEE_FILE, msgspec.json.encode(knee))
    console.out(f"Written to {folder.path}", highlight=False)
    return _exit_code(knee)


async def _run(run: KneeRun) -> Knee:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, run.interrupt)
    return await run.run()


def _exit_code(knee: Knee) -> int:
    if knee.interrupted:
        return INTERRUPTED
    if knee.by_generator:
        return UNJUDGED
    return FAILED if knee.met is None else PASSED
