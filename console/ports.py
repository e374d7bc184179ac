"""What a host hands to the console: a feed of figures, a control for load runs, and who may come in.

Any Sanic application that can hand these in can mount the console. Durations are seconds, times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from console.tuning import Comparison
from observability.read.feed import Feed

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Access",
    "Comparison",
    "Feed",
    "LoadChanges",
    "LoadColumns",
    "LoadControl",
    "LoadEndpoint",
    "LoadRefused",
    "LoadRun",
    "NoLoad",
    "ReportFile",
    "ScenarioCard",
    "State",
    "Verdict",
]

State = Literal["preparing", "running", "draining", "done", "failed", "interrupted"]
Verdict = Literal["PASS", "FAIL", "TOO FEW"]
ReportFile = Literal["report.html", "result.json"]


class LoadRefused(Exception):
    """A run cannot be started or stopped; the message is one sentence for the person who asked."""


class ScenarioCard(msgspec.Struct, frozen=True):
    """A scenario as it is offered: ``summary`` in words ("100 users, 1,000 req/min, 5 min"), planned ``seconds``.

    Its numbers can be changed up to the ``most_...``; 0 where they cannot. ``mix`` are its endpoints and their shares.
    """

    name: str
    summary: str
    seconds: float
    users: int = 0
    rate_per_minute: float = 0.0
    most_users: int = 0
    most_rate_per_minute: float = 0.0
    most_seconds: float = 0.0
    mix: tuple[tuple[str, float], ...] = ()


class LoadEndpoint(msgspec.Struct, frozen=True):
    """One endpoint of a run. Percentiles are response times from the intended moment of sending."""

    name: str
    method: str
    route: str
    count: int
    errors: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    target: float | None = None
    verdict: Verdict | None = None


class LoadRun(msgspec.Struct, frozen=True):
    """A load run, going on or over. ``seconds`` is its planned length, ``rate`` the requests a second achieved.

    It is prepared from ``started`` on; ``elapsed`` counts from its first request. ``updated`` is when it was last heard of.
    """

    run: str
    scenario: str
    state: State
    started: float
    seconds: float
    elapsed: float
    planned: int
    sent: int
    completed: int
    errors: int
    rate: float
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    verdict: Verdict | None = None
    validity: Literal["VALID", "INVALID"] | None = None
    message: str = ""
    endpoints: tuple[LoadEndpoint, ...] = ()
    updated: float = 0.0

    @property
    def ended(self) -> float:
        """Return when it was over, in Unix seconds, or as far as it has come."""
        return max(self.updated, self.started + self.elapsed)

    @property
    def reported(self) -> bool:
        """Whether it came to an end that leaves a report."""
        return self.state in {"done", "interrupted"}

    @property
    def active(self) -> bool:
        """Whether it is still going on."""
        return self.state in {"preparing", "running", "draining"}


class LoadChanges(msgspec.Struct, frozen=True):
    """What is changed of a scenario for one run; None is as it is declared."""

    users: int | None = None
    rate_per_minute: float | None = None
    seconds: float | None = None
    seed: int | None = None


AS_DECLARED = LoadChanges()


class LoadColumns(msgspec.Struct, frozen=True):
    """A run second by second: ``at`` seconds after its start, requests planned, sent, answered and failed, and the client's percentiles."""

    started: float = 0.0
    at: tuple[float, ...] = ()
    planned: tuple[float | None, ...] = ()
    sent: tuple[float | None, ...] = ()
    completed: tuple[float | None, ...] = ()
    errors: tuple[float | None, ...] = ()
    p50: tuple[float | None, ...] = ()
    p95: tuple[float | None, ...] = ()
    p99: tuple[float | None, ...] = ()


class LoadControl(Protocol):
    """Starts and stops load runs for the console and tells of them."""

    def refusal(self) -> str | None:
        """Return why runs cannot be started here, in one sentence, or None when they can."""

    def scenarios(self) -> Sequence[ScenarioCard]:
        """Return what can be started, the default first."""

    async def start(self, scenario: str, changes: LoadChanges = AS_DECLARED) -> str:
        """Start a run and return its id; raise LoadRefused when it cannot be, or not with these changes."""

    async def stop(self, run: str) -> None:
        """Ask a run to drain and end; raise LoadRefused when it cannot be."""

    async def runs(self, most: int = 10) -> Sequence[LoadRun]:
        """Return the latest runs, newest first; the first may be going on. Asked once a second while someone looks."""

    async def report(self, run: str, file: ReportFile) -> bytes | None:
        """Return a file of a run's report, None where there is none; ``run`` is whatever a visitor wrote."""

    async def columns(self, run: str) -> LoadColumns | None:
        """Return a run second by second, as far as it has come; None where there is none."""

    async def compare(self, before: str, after: str) -> Comparison:
        """Compare two runs; what cannot be compared is said in the comparison."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in: the token (128 bits or more), and the Host names, lower case without port, that are answered.

    The key that signs cookies is derived from the token, so another token ends every visit.
    """

    token: str
    hosts: frozenset[str]


class NoLoad:
    """The control of a host that starts no load runs."""

    def refusal(self) -> str | None:
        """Say that there are none."""
        return "Load runs cannot be started from here."

    def scenarios(self) -> Sequence[ScenarioCard]:
        """Return none."""
        return ()

    async def start(self, scenario: str, changes: LoadChanges = AS_DECLARED) -> str:  # noqa: ARG002 - as it is asked for
        """Refuse."""
        raise LoadRefused(f"{scenario} cannot be started from here.")

    async def stop(self, run: str) -> None:
        """Refuse."""
        raise LoadRefused(f"{run} was not started from here.")

    async def runs(self, most: int = 10) -> Sequence[LoadRun]:
        """Return none, however many may be asked for."""
        return ()[:most]

    async def report(self, run: str, file: ReportFile) -> bytes | None:  # noqa: ARG002 - as it is asked for
        """Return none."""
        return None

    async def columns(self, run: str) -> LoadColumns | None:  # noqa: ARG002 - as it is asked for
        """Return none."""
        return None

    async def compare(self, before: str, after: str) -> Comparison:
        """Return none."""
        return Comparison(before, after, refusal="There are no runs here.")
