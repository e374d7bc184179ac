"""Claims about a load run that a worker asked for: the real load generator against a real instance."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from app.launcher.load import LoadRuns
from app.launcher.supervisor import PROGRAM
from loadgen.history import read_runs

if TYPE_CHECKING:
    from typing import Any

    Serve = Any


async def _until_state(running: Serve, state: str) -> None:
    async with asyncio.timeout(120):
        while [run.state for run in read_runs(running.folder, 1)] != [state]:  # noqa: ASYNC110 - a file tells no event
            await asyncio.sleep(0.05)


async def test_run_is_the_command_and_stops_with_a_report(running: Serve) -> None:
    """A run started for the console can be followed in the data folder, and when stopped it leaves its report there."""
    environment = os.environ | {"GATEWATCH_DATA_DIR": str(running.folder)}
    load = LoadRuns(PROGRAM, running.folder, running.instance.url, environment, allowed=True)
    try:
        run = (await load.answer({"op": "load.start", "id": 1, "scenario": "smoke"}))["run"]
        await _until_state(running, "running")
        assert (await load.answer({"op": "load.stop", "id": 2, "run": run}))["ok"] is True
        await load.ended(60)
    finally:
        await load.stop(5)
    newest = read_runs(running.folder, 1)[0]
    assert (newest.run, newest.state) == (run, "interrupted")
    assert "smoke" in run
    assert (running.folder / "runs" / run / "result.json").exists()
    assert (running.folder / "runs" / run / "log.txt").stat().st_size > 0
