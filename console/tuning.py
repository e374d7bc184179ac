"""What a host hands in for tuning: settings that can be changed while it serves, plans of its queries, and trials of a change.

Each is optional: a console without them has no such page. Durations are seconds, times are Unix seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.ports import LoadChanges

Kind = Literal["integer", "seconds", "share", "switch"]
"""A switch is "on" or "off", a share is 0 to 1; all values travel as text, as in the environment."""

Origin = Literal["default", "environment", "changed"]


class SettingRefused(Exception):
    """A setting cannot be changed like that, or not now; the message is one sentence for the person who asked."""


class LiveSetting(msgspec.Struct, frozen=True):
    """A setting that can be changed. ``starts_as`` is what a restart brings back, ``variable`` where to write it for good.

    ``scope`` says what a number is counted by: "instance" is divided among its workers.
    """

    name: str
    group: str
    label: str
    about: str
    kind: Kind
    value: str
    starts_as: str
    least: float | None
    most: float | None
    unit: str
    variable: str
    scope: Literal["worker", "instance"] = "worker"

    @property
    def changed(self) -> bool:
        """Whether it is not as it started."""
        return self.value != self.starts_as


class SettingInForce(msgspec.Struct, frozen=True):
    """A setting that takes a restart to change; secrets are shown as "set" or "not set"."""

    variable: str
    value: str
    origin: Origin
    about: str


class SettingChange(msgspec.Struct, frozen=True):
    """One change, as the fleet took it up; ``undone`` says that a later one took it back."""

    number: int
    at: float
    name: str
    label: str
    before: str
    after: str
    undone: bool = False


class LiveSettings(Protocol):
    """Changes settings of the whole fleet."""

    def refusal(self) -> str | None:
        """Return why nothing can be changed now, in one sentence, or None when it can."""

    def settings(self) -> Sequence[LiveSetting]:
        """Return what can be changed, as it is in force in this worker."""

    def in_force(self) -> Sequence[SettingInForce]:
        """Return all other settings."""

    async def changes(self, most: int = 20) -> Sequence[SettingChange]:
        """Return the latest changes, newest first."""

    async def change(self, name: str, value: str) -> SettingChange:
        """Change a setting of the fleet, within two seconds; raise SettingRefused."""

    async def undo(self, number: int) -> SettingChange:
        """Take a change back; raise SettingRefused, when it was taken back or overtaken too."""


class QueryCard(msgspec.Struct, frozen=True):
    """A query that can be explained; ``refusal`` says why it must not be run for that (it writes), empty when it may be."""

    name: str
    sql: str
    refusal: str = ""


class PlanNode(msgspec.Struct, frozen=True):
    """One step of a plan, ``depth`` below the first. Rows and seconds that were measured are None unless it was run."""

    depth: int
    title: str
    details: tuple[str, ...]
    cost: float
    rows_expected: float
    rows: float | None = None
    loops: float | None = None
    seconds: float | None = None
    pages: int | None = None
    sequential: bool = False


class QueryPlan(msgspec.Struct, frozen=True):
    """How PostgreSQL runs a query with ``arguments`` like those it has in life; ``warnings`` are sentences."""

    name: str
    sql: str
    arguments: tuple[str, ...]
    nodes: tuple[PlanNode, ...]
    planning: float | None = None
    execution: float | None = None
    warnings: tuple[str, ...] = ()


class PlanRefused(Exception):
    """A query cannot be explained; the message is one sentence."""


class Statistics(msgspec.Struct, frozen=True):
    """A statement as PostgreSQL itself counts it (pg_stat_statements), since ``since``; seconds a call, and pages."""

    name: str
    calls: int
    rows: int
    mean: float
    most: float
    pages_hit: int
    pages_read: int


class Plans(Protocol):
    """Explains queries."""

    def queries(self) -> Sequence[QueryCard]:
        """Return what can be explained."""

    async def explain(self, name: str, *, run: bool = False) -> QueryPlan:
        """Return a plan, with what it took when ``run``; raise PlanRefused."""

    async def statistics(self) -> Sequence[Statistics] | None:
        """Return what PostgreSQL counts of them; None where it does not."""


Percentile = Literal["p50", "p95", "p99"]


class Difference(msgspec.Struct, frozen=True):
    """A percentile of one endpoint in two runs: the difference lies within ``low`` and ``high`` (95 %)."""

    endpoint: str
    percentile: Percentile
    before: float | None
    after: float | None
    low: float | None
    high: float | None
    judgement: Literal["real", "noise", "too few"]


class Comparison(msgspec.Struct, frozen=True):
    """Two runs, the earlier first; ``refusal`` says why they cannot be compared."""

    before: str
    after: str
    differences: tuple[Difference, ...] = ()
    refusal: str = ""


class Moved(msgspec.Struct, frozen=True):
    """A part of the mean time of a route's slow requests (their p99 cohort) before a change and after it."""

    method: str
    route: str
    part: str
    before: float
    after: float


TrialState = Literal["before", "changing", "after", "done", "failed", "stopped"]


class Trial(msgspec.Struct, frozen=True):
    """A change tried: a run, the change, a run with the same seed. ``changes`` are (setting, before, after) in text.

    ``words`` says what came of it, or why it failed; ``progress`` is 0 to 1.
    """

    trial: str
    state: TrialState
    started: float
    changes: tuple[tuple[str, str, str], ...]
    before: str = ""
    after: str = ""
    progress: float = 0.0
    words: str = ""
    comparison: Comparison | None = None
    moved: tuple[Moved, ...] = ()

    @property
    def active(self) -> bool:
        """Whether it still goes on."""
        return self.state in {"before", "changing", "after"}


class TrialRefused(Exception):
    """A trial cannot be started or stopped; the message is one sentence."""


class Trials(Protocol):
    """Tries changes."""

    def refusal(self) -> str | None:
        """Return why none can be started here, or None."""

    async def start(self, changes: Sequence[tuple[str, str]], load: LoadChanges | None = None) -> str:
        """Try settings (name, value) that are not yet in force, and leave them in force; raise TrialRefused.

        ``load`` changes the load of both runs; its seed is the trial's own.
        """

    async def stop(self, trial: str) -> None:
        """End a trial and take its change back; raise TrialRefused."""

    async def trials(self, most: int = 5) -> Sequence[Trial]:
        """Return the latest, newest first."""
