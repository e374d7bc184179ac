"""Stop rules: looking once a second whether a run has become pointless."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from observability.model import Distribution, Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.ledger import Ledger
    from loadgen.scenario import StopRule

_FEWEST = 20
"""Requests that must have ended within a rule's time before it is looked at: one failure of two says nothing."""


class _Look(msgspec.Struct, frozen=True):
    """What was counted up to an instant."""

    at: float
    completed: int
    errors: int
    server_errors: int
    response: Distribution


class Watch:
    """Looks at a run by the stop rules of its scenario, over the last seconds that each of them names."""

    def __init__(self, rules: Sequence[StopRule]) -> None:
        self._rules = rules
        self._longest = max((rule.for_s for rule in rules), default=0.0)
        self._looks: deque[_Look] = deque()

    def look(self, ledger: Ledger, elapsed: float) -> str:
        """Return why the run should end now, or nothing. ``elapsed`` is seconds since its start."""
        if not self._rules:
            return ""
        response = ledger.response().freeze()
        now = _Look(elapsed, ledger.completed, ledger.errors, ledger.server_errors, response)
        self._looks.append(now)
        while len(self._looks) > 1 and self._looks[1].at <= elapsed - self._longest:
            self._looks.popleft()
        return next(filter(None, (self._broken(rule, now) for rule in self._rules)), "")

    def _broken(self, rule: StopRule, now: _Look) -> str:
        then = next((look for look in reversed(self._looks) if look.at <= now.at - rule.for_s), None)
        if then is None or now.completed - then.completed < _FEWEST:
            return ""
        value = _figure(rule, then, now)
        if value <= rule.above:
            return ""
        return f"stopped: {rule.figure} {value:.3g} over {rule.for_s:g} s, {rule.above:g} is the most"


def _figure(rule: StopRule, then: _Look, now: _Look) -> float:
    match rule.figure:
        case "error_rate":
            return (now.errors - then.errors) / (now.completed - then.completed)
        case "server_errors":
            return now.server_errors - then.server_errors
        case _:
            recent = Histogram.of(now.response)
            recent.subtract(then.response)
            return 1000 * (recent.quantile(0.95) or 0.0)
