"""What falls due when: the plan's arrivals, the users who join in, and what follows after answers and thinking.

Everything is a visit: one request in an open scenario, a journey's steps one after the other, or a user who asks for ever.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from loadgen.pacer import in_blocks, plan_arrivals, thinking
from loadgen.step_tally import Exchange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadgen.client import Connection
    from loadgen.scenario import Scenario
    from loadgen.workload import VirtualUser

NEVER = float("inf")


class Seat(NamedTuple):
    """A user, when it joins in (seconds after the start), and the connection that it brings, if each user brings one."""

    offset: float
    user: VirtualUser
    connection: Connection | None


class Visit(Exchange):
    """Who asks, and what for: the step that is due or under way, and those that follow it (None: for ever)."""

    __slots__ = ("connection", "offered", "position", "steps", "user")

    def __init__(self, steps: tuple[str, ...] | None, step: str, intended: float) -> None:
        self.step = step  # Not by super(), which is a tenth of what is spent on a request here.
        self.intended = intended
        self.number = 0
        self.late = False
        self.steps = steps
        self.position = 0
        self.offered = 0.0
        self.user: VirtualUser | None = None
        self.connection: Connection | None = None


class Agenda:
    """One process's part of a scenario, in the order of time. Instants are seconds of the clock that ``begin`` names.

    ``seats`` are in the order in which they join; those who have not are ``absent``. ``cut`` counts journeys that the end came before.
    """

    def __init__(self, scenario: Scenario, seats: Sequence[Seat], *, part: int = 0, parts: int = 1) -> None:
        self._scenario = scenario
        self.absent = deque(seats)
        self._closed = scenario.shape == "closed"
        self._randomness = random.Random(f"{scenario.seed}/{part}/thinking")  # noqa: S311 - to be repeated, no secret
        self._plan = iter(()) if self._closed else plan_arrivals(scenario, part=part, parts=parts)
        self._endless: Iterator[str] = (
            in_blocks(dict(scenario.mix), None, self._randomness) if self._closed else iter(())
        )
        self._arrival: Visit | None = None
        self._later: list[tuple[float, int, Visit]] = []
        self._order = count()  # Of two visits that are due at one instant, the earlier scheduled comes first.
        self._over = False
        self.start = 0.0
        self.end = NEVER
        self.cut = 0

    def begin(self, start: float) -> None:
        """Let everything count from this instant."""
        self.start, self.end = start, start + self._scenario.length
        self._advance_plan()

    def finish(self) -> None:
        """Let nothing fall due any more."""
        self._over = True
        self.cut += sum(visit.steps is not None for _, _, visit in self._later)
        self._later.clear()
        self._arrival = None

    @property
    def due(self) -> float:
        """When the next thing falls due: the end at the latest, while answers may still bring something, and else NEVER."""
        due = self._arrival.intended if self._arrival is not None else NEVER
        if self._later and self._later[0][0] < due:
            due = self._later[0][0]
        if self._closed and self.absent:
            due = min(due, self.start + self.absent[0].offset)
        return due if due < self.end or self._scenario.shape == "open" else self.end

    def joined(self, instant: float) -> Iterator[Seat]:
        """Yield those who join in by this instant."""
        while self.absent and self.start + self.absent[0].offset <= instant:
            yield self.absent.popleft()

    def take(self, instant: float) -> Visit | None:
        """Return the next visit that is due by this instant."""
        arrival, later = self._arrival, self._later
        if later and later[0][0] <= instant:
            return heapq.heappop(later)[2]
        if arrival is not None and arrival.intended <= instant:
            self._advance_plan()
            return arrival
        return None

    def engage(self, seat: Seat) -> bool:
        """Let a user of a closed scenario, who has joined in, ask for ever; return False for others, who serve visits."""
        if not self._closed:
            return False
        visit = Visit(None, next(self._endless), 0.0)
        visit.user = seat.user
        self._schedule(visit, self.start + seat.offset)
        return True

    def follow(self, visit: Visit, after: float) -> bool:
        """Schedule what follows an answer that was as it should be; return False when nothing does, or the end comes before it."""
        if visit.steps is None:
            visit.step = next(self._endless)
        elif visit.position + 1 == len(visit.steps):
            return False
        else:
            visit.position += 1
            visit.step = visit.steps[visit.position]
        return self._schedule(visit, after)

    def is_next(self, visit: Visit) -> bool:
        """Say whether this visit, just scheduled, is the first of those to come."""
        return bool(self._later) and self._later[0][2] is visit

    def _schedule(self, visit: Visit, after: float) -> bool:
        visit.intended = after + thinking(self._scenario.think, self._randomness)
        if self._over or visit.intended >= self.end:
            self.cut += visit.steps is not None
            return False
        heapq.heappush(self._later, (visit.intended, next(self._order), visit))
        return True

    def _advance_plan(self) -> None:
        planned = next(self._plan, None)
        if planned is None:
            self._arrival = None
            return
        offset, step = planned
        journeys = self._scenario.journey
        steps = journeys[int(step)].steps if journeys else (step,)
        self._arrival = Visit(steps, steps[0], self.start + offset)
