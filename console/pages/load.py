"""The page of load runs: start one, watch it, stop it, keep its report."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self, cast

from console.pages.page import Action, Ask, Download, File, Outcome, Page, Refused
from console.ports import LoadRefused, NoLoad

if TYPE_CHECKING:
    from collections.abc import Mapping

    from console.pages.page import Host
    from console.ports import ReportFile

_REPORTS = {"report.html": "text/html; charset=utf-8", "result.json": "application/json"}
"""What is handed out of a run, and what type it has."""


class LoadPage(Page):
    """Load runs."""

    name = path = nav = "load"
    title = "Load"
    key = "l"
    charts = False
    parts = ("actions", "load")

    @classmethod
    def of(cls, host: Host) -> Self | None:
        """Exist where the host runs load."""
        return None if isinstance(host.load, NoLoad) else cls(host)

    async def look(self, ask: Ask) -> dict[str, Any]:  # noqa: ARG002 - the same at all times
        """Ask for the latest runs: the one going on and the one before."""
        load = self.host.load
        runs = await load.runs(2)
        return {
            "refusal": load.refusal(),
            "scenarios": tuple(load.scenarios()),
            "active": next((run for run in runs if run.active), None),
            "last": next((run for run in runs if not run.active), None),
        }

    def actions(self) -> Mapping[str, Action]:
        """Start a run, stop one."""
        return {"start": self._start, "stop": self._stop}

    def downloads(self) -> Mapping[str, Download]:
        """Hand out reports."""
        return {"runs/<run:str>/<file:str>": self._report}

    async def _start(self, form: Mapping[str, str]) -> Outcome:
        try:
            run = await self.host.load.start(form.get("scenario", ""))
        except LoadRefused as refused:
            raise Refused(str(refused)) from None
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
