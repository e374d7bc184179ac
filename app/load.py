"""Load runs as the console sees them: started by the launcher, told by the files they leave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from app.control import Control, LauncherGone
from console.ports import LoadRefused, LoadRun, ScenarioCard
from loadgen.history import read_runs
from loadgen.plan import scenarios
from loadgen.results import RUN_ID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from console.ports import ReportFile


class LauncherLoad:
    """Implements the console's LoadControl. Without a launcher, or when the settings forbid it, it refuses."""

    def __init__(self, control: Control | None, data_dir: Path, *, allowed: bool) -> None:
        self._control = control
        self._data_dir = data_dir
        self._allowed = allowed

    def refusal(self) -> str | None:
        """Say why no run can be started from here, or None."""
        if not self._allowed:
            return "Starting load from the console is off; GATEWATCH_LOAD=on turns it on."
        if self._control is None:
            return "Load runs are started by gatewatch serve, which does not run this worker."
        return None

    def scenarios(self) -> Sequence[ScenarioCard]:
        """List what can be started."""
        return [ScenarioCard(known.name, known.summary, known.length) for known in scenarios()]

    async def start(self, scenario: str) -> str:
        """Start a run of a known scenario against this service; return its id."""
        answer = await self._ask("load.start", scenario=scenario)
        return str(answer["run"])

    async def stop(self, run: str) -> None:
        """Stop a run; it still writes its report."""
        await self._ask("load.stop", run=run)

    async def runs(self, most: int = 10) -> Sequence[LoadRun]:
        """Read the newest runs from the data folder, off the event loop."""
        found = await asyncio.get_running_loop().run_in_executor(None, read_runs, self._data_dir, most)
        return [msgspec.convert(status, LoadRun, from_attributes=True) for status in found]

    async def report(self, run: str, file: ReportFile) -> bytes | None:
        """Read a file of a run's folder, off the event loop; None for what is no run, or left none."""
        if not RUN_ID.fullmatch(run):
            return None
        path = self._data_dir / "runs" / run / file
        return await asyncio.get_running_loop().run_in_executor(None, _read, path)

    async def _ask(self, op: str, **values: Any) -> dict[str, Any]:
        if (why := self.refusal()) or self._control is None:
            raise LoadRefused(why or "")
        try:
            answer = await self._control.ask(op, **values)
        except LauncherGone as error:
            raise LoadRefused(f"The launcher cannot be reached: {error}.") from error
        if not answer.get("ok"):
            raise LoadRefused(str(answer.get("error", "The launcher refused without a reason.")))
        return answer


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
