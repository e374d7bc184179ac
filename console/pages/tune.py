"""The page of settings that can be changed while the service serves: change them, undo it, try what a change is worth."""

from __future__ import annotations

import time
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

import msgspec

from console.comparing import rows_of
from console.numbers import changes_of
from console.pages.page import Action, Ask, Columns, Host, Outcome, Page, Refused, later
from console.parts import TITLES
from console.tuning import Moved, SettingRefused, Trial, TrialRefused
from observability.model import PARTS
from observability.read.answers import Answers
from observability.read.detail import TraceFilter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from console.ports import ScenarioCard
    from console.tuning import LiveSetting, LiveSettings
    from observability.model import KeptTrace

TRIED = "tune"
"""The scenario that trials send."""

MOST_CHANGES = 20
MOST_TRIALS = 5
MOST_RUNS = 20
MOST_TRACES = 1000
AGAIN_AFTER = 5.0
"""Seconds after which the traces of a trial are looked for once more."""


class MovedRow(msgspec.Struct, frozen=True):
    """A part of slow requests' time that moved; the bars are in per cent of the longest, ``trace_id`` a request that shows it."""

    method: str
    route: str
    part: str
    title: str
    before: float
    after: float
    before_bar: float
    after_bar: float
    trace_id: str


class TunePage(Page):
    """Settings, their changes, and trials."""

    name = path = nav = "tune"
    title = "Tune"
    key = "u"
    parts = ("settings", "trying", "trial", "changes")

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._answers = Answers(time.monotonic)

    @classmethod
    def of(cls, host: Host) -> Self | None:
        """Exist where settings can be changed."""
        return None if host.settings is None else cls(host)

    async def look(self, ask: Ask) -> dict[str, Any]:  # noqa: ARG002 - the same at all times
        """Ask for settings, their changes, and the latest trials."""
        settings, trials = self._settings, self.host.trials
        known = settings.settings()
        made = await trials.trials(MOST_TRIALS) if trials else ()
        latest = made[0] if made else None
        return {
            "refusal": settings.refusal(),
            "groups": [(group, list(each)) for group, each in groupby(known, key=lambda setting: setting.group)],
            "labels": {setting.name: setting.label for setting in known},
            "values": {setting.name: setting.value for setting in known},
            "changes": await settings.changes(MOST_CHANGES),
            "trials_refusal": trials.refusal() if trials else "Changes cannot be tried here.",
            "card": self._card() if trials else None,
            "trial": latest,
            "earlier": made[1:],
            "differences": rows_of(latest.comparison) if latest and latest.comparison else (),
            "moved": await self._moved(latest) if latest else (),
        }

    async def columns(self, ask: Ask, since: int) -> Columns:
        """Return the fleet's columns."""
        period = ask.period
        return later(
            await self.host.feed.series(since, period.seconds, ask.step(time.time()), period.until),
            since,
            ("rate", "p50", "p95", "p99"),
        )

    def actions(self) -> Mapping[str, Action]:
        """Change settings, take a change back, try changes, stop that."""
        return {"change": self._change, "undo": self._undo, "try": self._try, "stop": self._stop}

    @property
    def _settings(self) -> LiveSettings:
        settings = self.host.settings
        if settings is None:
            raise Refused("Nothing can be changed here.")
        return settings

    def _card(self) -> ScenarioCard | None:
        return next((card for card in self.host.load.scenarios() if card.name == TRIED), None)

    async def _moved(self, trial: Trial) -> Sequence[MovedRow]:
        """Lay out what moved, each with a kept request of the second run that spent most on it."""
        if not trial.moved:
            return ()
        kept = await self._answers.get(trial.trial, AGAIN_AFTER, partial(self._kept, trial.after))
        longest = max(max(each.before, each.after) for each in trial.moved) or 1.0
        return [
            MovedRow(
                method=each.method,
                route=each.route,
                part=each.part,
                title=TITLES.get(each.part, each.part),
                before=each.before,
                after=each.after,
                before_bar=round(100 * each.before / longest, 1),
                after_bar=round(100 * each.after / longest, 1),
                trace_id=_shows(each, kept),
            )
            for each in trial.moved
        ]

    async def _kept(self, name: str) -> Sequence[KeptTrace]:
        run = next((run for run in await self.host.load.runs(MOST_RUNS) if run.run == name), None)
        if run is None:
            return ()
        wanted = TraceFilter(since=run.started, until=run.ended, limit=MOST_TRACES)
        return (await self.host.feed.traces(wanted)).traces

    def _wanted(self, form: Mapping[str, str]) -> Sequence[tuple[LiveSetting, str]]:
        """Return the settings that a form wants otherwise: those ticked, or where none is, those written otherwise than in force."""
        written = [(setting, form.get(f"to-{setting.name}", "").strip()) for setting in self._settings.settings()]
        ticked = [(setting, value) for setting, value in written if form.get(f"tick-{setting.name}")]
        wanted = ticked or [(setting, value) for setting, value in written if value and value != setting.value]
        if not wanted:
            raise Refused("Nothing is to be changed: write another value first.", given=form)
        return wanted

    async def _change(self, form: Mapping[str, str]) -> Outcome:
        wanted = self._wanted(form)
        for setting, value in wanted:
            try:
                await self._settings.change(setting.name, value)
            except SettingRefused as refused:
                raise Refused(str(refused), setting.name, form) from None
        return Outcome(self.name, answer={"changed": [setting.name for setting, _ in wanted]})

    async def _undo(self, form: Mapping[str, str]) -> Outcome:
        number = form.get("number", "")
        try:
            change = await self._settings.undo(int(number) if number.isascii() and number.isdigit() else 0)
        except SettingRefused as refused:
            raise Refused(str(refused)) from None
        return Outcome(self.name, answer={"undone": change.number})

    async def _try(self, form: Mapping[str, str]) -> Outcome:
        trials, card = self.host.trials, self._card()
        if trials is None:
            raise Refused("Changes cannot be tried here.", given=form)
        load = changes_of(form, card) if card else None
        try:
            trial = await trials.start([(setting.name, value) for setting, value in self._wanted(form)], load)
        except TrialRefused as refused:
            raise Refused(str(refused), given=form) from None
        return Outcome(self.name, answer={"trial": trial})

    async def _stop(self, form: Mapping[str, str]) -> Outcome:
        trial = form.get("trial", "")
        try:
            if self.host.trials is not None:
                await self.host.trials.stop(trial)
        except TrialRefused as refused:
            raise Refused(str(refused)) from None
        return Outcome(self.name, answer={"trial": trial})


def _shows(moved: Moved, kept: Sequence[KeptTrace]) -> str:
    """Return the kept request of that route that spent most on a part that grew, or nothing."""
    if moved.after <= moved.before:
        return ""
    of_route = [trace for trace in kept if (trace.method, trace.route) == (moved.method, moved.route)]
    best = max(of_route, key=partial(_spent, part=moved.part), default=None)
    return best.trace_id if best and _spent(best, part=moved.part) else ""


def _spent(trace: KeptTrace, *, part: str) -> float:
    return trace.parts[PARTS.index(part)] if part in PARTS else trace.seconds - sum(trace.parts)
