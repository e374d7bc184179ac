"""What marks every chart: what the feed tells of, and the load runs of the host."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from observability.read.answers import Answers
from observability.read.detail import Annotation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.pages.page import Host
    from console.ports import LoadRun
    from observability.read.detail import Period

RUNS_AGE = 5.0
"""Seconds for which it is not looked again whether a run began or ended: that reads files."""


class Marks:
    """The marks of one mounted console."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._answers = Answers(time.monotonic)

    async def within(self, period: Period) -> tuple[Annotation, ...]:
        """Return what happened or still went on in a time, oldest first."""
        runs: Sequence[LoadRun] = await self._answers.get("runs", RUNS_AGE, self._host.load.runs)
        end = time.time() if period.until is None else period.until
        found = (*await self._host.feed.annotations(period), *(mark_of(run, end) for run in runs))
        begin = end - period.seconds
        return tuple(
            sorted((one for one in found if one.kind != "load" or _in(one, begin, end)), key=lambda one: one.at)
        )


def mark_of(run: LoadRun, now: float) -> Annotation:
    """Return a run as a mark from its start to its end, or to now while it goes on."""
    words = f"load run {run.scenario}{'' if run.active or run.verdict is None else f', {run.verdict}'}"
    return Annotation(run.started, "load", words, now if run.active else run.ended)


def _in(mark: Annotation, begin: float, end: float) -> bool:
    return mark.at <= end and (mark.until or mark.at) > begin
