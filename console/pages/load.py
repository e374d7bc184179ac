"""The page of load runs: start one, watch it, stop it, keep its report, compare two."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Self, cast

from console.comparing import overlaid, rows_of, said_of
from console.numbers import changes_of
from console.pages.page import Action, Ask, Download, File, Host, Outcome, Page, Refused
from console.ports import LoadRefused, NoLoad
from console.run_charts import drawn
from observability.read.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from console.ports import LoadColumns, LoadRun, ReportFile

MOST_RUNS = 20
"""Runs that are listed."""

STORM = "storm"
"""The scenario that has a button of its own, where there is one."""

TOLD = 30.0
"""Seconds after a run in which the service's own figures of its end have come."""

OVER = 600.0
"""Seconds for which what was read of runs that are over is not read again."""

_REPORTS = {"report.html": "text/html; charset=utf-8", "result.json": "application/json"}
"""What is handed out of a run, and what type it has."""


class LoadPage(Page):
    """Load runs."""

    name = path = nav = "load"
    title = "Load"
    key = "l"
    arguments = ("run", "before", "after")
    parts = ("actions", "load", "drawn", "comparison", "runs")

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._answers = Answers(time.monotonic)

    @classmethod
    def of(cls, host: Host) -> Self | None:
        """Exist where the host runs load."""
        return None if isinstance(host.load, NoLoad) else cls(host)

    async def look(self, ask: Ask) -> dict[str, Any]:
        """Ask for the latest runs, the one that is shown second by second, and the two that are compared."""
        load = self.host.load
        runs = await load.runs(MOST_RUNS)
        over = [run for run in runs if not run.active]
        active = next((run for run in runs if run.active), None)
        asked = next((run for run in runs if run.run == ask.get("run")), None)
        shown = asked or active or (over[0] if over else None)
        scenarios = tuple(load.scenarios())
        return {
            "refusal": load.refusal(),
            "scenarios": scenarios,
            "storm": next((card for card in scenarios if card.name == STORM), None),
            "runs": runs,
            "active": active,
            "last": asked if asked and not asked.active else next(iter(over), None),
            "newest": over[0].run if over else "",
            "shown": shown,
            "drawn": await self._drawn(shown),
            "chosen": _chosen(over, ask),
            **await self._compared(ask, runs),
        }

    def data(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Give the charts' columns: the run that is shown, and the two that are compared."""
        return {"run": context["drawn"], "overlay": context["overlay"]}

    def actions(self) -> Mapping[str, Action]:
        """Start a run, stop one."""
        return {"start": self._start, "stop": self._stop}

    def downloads(self) -> Mapping[str, Download]:
        """Hand out reports."""
        return {"runs/<run:str>/<file:str>": self._report}

    async def _drawn(self, run: LoadRun | None) -> dict[str, object] | None:
        if run is None:
            return None
        if run.active or time.time() - run.ended < TOLD:
            return await self._draw(run)
        return await self._answers.get(("drawn", run.run), OVER, partial(self._draw, run))

    async def _draw(self, run: LoadRun) -> dict[str, object] | None:
        columns = await self.host.load.columns(run.run)
        return None if columns is None else await drawn(self.host.feed, run, columns, time.time())

    async def _compared(self, ask: Ask, runs: Sequence[LoadRun]) -> dict[str, Any]:
        """Compare the two runs that are asked for; what came of runs that go on is asked for again."""
        before, after = ask.get("before"), ask.get("after")
        if not before or not after:
            return {"comparison": None, "compared": (), "differences": (), "said": "", "overlay": None}
        again = 1.0 if any(run.active for run in runs) else OVER
        compare = partial(self.host.load.compare, before, after)
        comparison = await self._answers.get(("compared", before, after), again, compare)
        columns = [await self._columns(run, again) for run in (before, after)]
        return {
            "comparison": comparison,
            "compared": [next((run for run in runs if run.run == name), None) for name in (before, after)],
            "differences": rows_of(comparison),
            "said": said_of(comparison),
            "overlay": overlaid(columns[0], columns[1]) if columns[0] and columns[1] else None,
        }

    async def _columns(self, run: str, again: float) -> LoadColumns | None:
        return await self._answers.get(("columns", run), again, partial(self.host.load.columns, run))

    async def _start(self, form: Mapping[str, str]) -> Outcome:
        name = form.get("scenario", "")
        card = next((card for card in self.host.load.scenarios() if card.name == name), None)
        if card is None:
            raise Refused(self.host.load.refusal() or "There is no scenario of that name.", given=form)
        try:
            run = await self.host.load.start(name, changes_of(form, card))
        except LoadRefused as refused:
            raise Refused(str(refused), given=form) from None
        return Outcome(self.name, answer={"run": run})

    async def _stop(self, form: Mapping[str, str]) -> Outcome:
        run = form.get("run", "")
        try:
            await self.host.load.stop(run)
        except LoadRefused as refused:
            raise Refused(str(refused)) from None
        return Outcome(self.name, answer={"run": run})

    async def _report(self, run: str, file: str) -> File | None:
        if file not in _REPORTS:
            return None
        content = await self.host.load.report(run, cast("ReportFile", file))
        name = f"{re.sub(r'[^A-Za-z0-9-]', '-', run)}-{file}"
        return None if content is None else File(content, _REPORTS[file], name)


def _chosen(over: Sequence[LoadRun], ask: Ask) -> tuple[str, str]:
    """Return which two runs to offer for a comparison: those asked for, else the newest and the one like it before."""
    after = ask.get("after") or (over[0].run if over else "")
    scenario = next((run.scenario for run in over if run.run == after), "")
    others = [run for run in over if run.run < after] or [run for run in over if run.run != after]
    alike = [run.run for run in others if run.scenario == scenario] or [run.run for run in others]
    return ask.get("before") or next(iter(alike), ""), after
