"""Load runs as the console sees them: started by the launcher, told by the files they leave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from app.control import Control, LauncherGone
from app.load_limits import flags_for, most_of, offered
from app.load_results import columns_of, compared
from console.ports import AS_DECLARED, LoadRefused, LoadRun, ScenarioCard
from loadgen.history import read_runs
from loadgen.results import RUN_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from console.ports import Comparison, LoadChanges, LoadColumns, ReportFile
    from loadgen.scenario import Scenario

Found = TypeVar("Found")


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
        return [_card(known) for known in offered()]

    async def start(self, scenario: str, changes: LoadChanges = AS_DECLARED) -> str:
        """Start a run of a known scenario against this service; return its id."""
        asked = msgspec.to_builtins(changes)
        try:
            flags_for(scenario, asked)
        except ValueError as error:
            raise LoadRefused(str(error)) from None
        answer = await self._ask("load.start", scenario=scenario, changes=asked)
        return str(answer["run"])

    async def stop(self, run: str) -> None:
        """Stop a run; it still writes its report."""
        if not RUN_ID.fullmatch(run):
            raise LoadRefused("That load run is not running.")
        await self._ask("load.stop", run=run)

    async def runs(self, most: int = 10) -> Sequence[LoadRun]:
        """Read the newest runs from the data folder, off the event loop."""
        found = await _aside(read_runs, self._data_dir, most)
        return [msgspec.convert(status, LoadRun, from_attributes=True) for status in found]

    async def report(self, run: str, file: ReportFile) -> bytes | None:
        """Read a file of a run's folder, off the event loop; None for what is no run, or left none."""
        if not RUN_ID.fullmatch(run):
            return None
        return await _aside(_read, self._data_dir / "runs" / run / file)

    async def columns(self, run: str) -> LoadColumns | None:
        """Read a run second by second, off the event loop; None for what is no run, or has told nothing yet."""
        return await _aside(columns_of, self._data_dir, run)

    async def compare(self, before: str, after: str) -> Comparison:
        """Compare two runs, off the event loop."""
        return await _aside(compared, self._data_dir, before, after)

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


def _card(scenario: Scenario) -> ScenarioCard:
    most, shares = most_of(scenario), sum(scenario.mix.values())
    return ScenarioCard(
        name=scenario.name,
        summary=scenario.summary,
        seconds=scenario.length,
        users=scenario.users,
        rate_per_minute=scenario.rate_per_minute,
        most_users=int(most.get("users", 0)),
        most_rate_per_minute=most.get("rate_per_minute", 0.0),
        most_seconds=most.get("seconds", 0.0),
        mix=tuple((step, share / shares) for step, share in scenario.mix.items() if share),
    )


async def _aside(read: Callable[..., Found], *arguments: object) -> Found:
    return await asyncio.get_running_loop().run_in_executor(None, read, *arguments)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
