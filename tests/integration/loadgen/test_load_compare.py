"""Two real runs side by side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from click.testing import CliRunner
from crowding import Crowd

from loadgen.compare_cli import compare_command
from loadgen.results import RunFolder
from loadgen.runner import Order, Runner
from loadgen.scenario import Scenario
from observability.model import RouteTarget, Slo

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.results import Result, RunStatus

PLAN = msgspec.convert(
    {
        "name": "mine",
        "users": 60,
        "rate_per_minute": 1500,
        "seconds": 11.0,
        "request": {"root": {"path": "/"}},
        "mix": {"root": 1},
    },
    Scenario,
)
HELD = 0.1
"""Seconds that a service is late in all, from which on its answers are not alike any more."""

TARGETS = Slo(route=(RouteTarget(name="root", method="GET", route="/", p95_ms=20_000),))


class Silent:
    """Progress that nobody looks at."""

    def show(self, status: RunStatus) -> None:
        """Show nothing."""


async def test_a_service_that_is_a_fifth_slower_is_found_and_the_same_is_noise(serve: Any, tmp_path: Path) -> None:
    """Answers after 1 s, again after 1 s, and after 1.2 s; a crowded machine adds far less than the difference."""
    crowded: list[str] = []

    async def run(name: str, seconds: float) -> Result:
        async with serve() as service:
            service.instant = lambda now: now + seconds
            folder = RunFolder(tmp_path, name)
            result = await Runner(
                Order(scenario=PLAN, target=service.target, slo=TARGETS, run=name), folder, Silent()
            ).run()
            # Whether the machine let the generator keep up is another matter; here all three had the same machine.
            crowded.extend(result.invalid)
            result = msgspec.structs.replace(
                result, status=msgspec.structs.replace(result.status, validity="VALID"), invalid=()
            )
            folder.write_result(result)
            return result

    async with Crowd().watched() as crowd:
        await asyncio.gather(run("first", 1.0), run("again", 1.0), run("slower", 1.2))
    command = compare_command(lambda: tmp_path)
    same = CliRunner().invoke(command, ["first", "again"])
    # Only a machine that was late itself, generator or service, may leave too few samples to be sure that there is none.
    assert same.exit_code == 0 or (same.exit_code == 3 and (crowded or crowd.held > HELD)), (same.output, crowd.held)
    assert "No real difference" in same.stdout
    slower = CliRunner().invoke(command, ["first", "slower"])
    assert slower.exit_code == 1, slower.output
    assert "Really worse: root response p50" in slower.stdout
