"""What a search for the knee found, as it is kept and told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from loadgen.bottleneck import Evidence, Shortage
from loadgen.durations import duration
from loadgen.scenario import Scenario
from loadgen.step_judge import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

KNEE_FILE = "knee.json"
KNEE_VERSION = 1

_WORDS = {"met": "met", "missed": "MISSED", "unknown": "INVALID"}


class Need(msgspec.Struct, frozen=True):
    """How many such services a row's peak takes, when one bears so much of it in this mix. Requests a minute."""

    name: str
    peak: float
    borne: float
    services: int


class Knee(msgspec.Struct, frozen=True, kw_only=True):
    """The knee lies between ``met`` and ``missed``, requests a minute; None is where nothing was met, or nothing missed.

    ``by_generator`` says that it was the generator that could not send ``missed``. ``ran_out`` is judged from ``evidence``,
    which was seen at ``missed``.
    """

    version: int
    run: str
    target: str
    scenario: Scenario
    step_seconds: int
    met: float | None
    missed: float | None
    by_generator: bool
    interrupted: bool
    steps: tuple[Step, ...]
    ran_out: tuple[Shortage, ...]
    evidence: Evidence | None
    needs: tuple[Need, ...]

    @property
    def says(self) -> str:
        """The whole in a sentence."""
        found = self._found
        if self.interrupted:
            return f"interrupted; so far {found}"
        if self.missed is None:
            return found
        what = " and ".join(shortage.what for shortage in self.ran_out)
        return f"{found}; what ran out: {what or 'nothing that can be seen from here'}"

    @property
    def _found(self) -> str:
        if self.met is None and self.missed is None:
            return "nothing was found"
        if self.met is None:
            return f"even {self.missed:,.0f} requests a minute were too many"
        if self.missed is None:
            return f"{self.met:,.0f} requests a minute were met, the most that was tried"
        if self.by_generator:
            return f"at least {self.met:,.0f} requests a minute; {self.missed:,.0f} was more than the generator could judge"
        return f"the knee is between {self.met:,.0f} and {self.missed:,.0f} requests a minute"


def knee_lines(knee: Knee) -> Iterator[str]:
    """Yield the report: every step, the finding, what ran out, and what the peak takes."""
    yield from map(step_line, knee.steps)
    yield f"Knee: {knee.says}"
    yield from (f"  {shortage.what}: {shortage.says}" for shortage in knee.ran_out)
    unjudged = sorted({each.name for step in knee.steps for each in step.endpoints if each.verdict == "TOO FEW"})
    if unjudged:
        yield f"Too few in some steps to judge: {', '.join(unjudged)}; a longer --step-seconds judges them, too"
    yield from (
        f"  {need.name}: a peak of {need.peak:,.0f} a minute, {need.borne:,.0f} at the knee: {need.services}"
        for need in knee.needs
    )
    if knee.needs:
        most = max(need.services for need in knee.needs)
        yield f"The peak takes {most} such service{'s' if most > 1 else ''}, as far as what they share bears it"


def step_line(step: Step) -> str:
    """Return one step in a line."""
    slowest = max((each.p95 for each in step.endpoints if each.p95 is not None), default=None)
    told = f" - {step.says}" if step.says else ""
    return (
        f"{step.rate:>9,.0f}/min  {step.completed:>8,} answered  {step.errors:>6,} errors  "
        f"slowest p95 {duration(slowest):>8}  {_WORDS[step.outcome]}{told}"
    )
