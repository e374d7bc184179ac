"""A history that broke a promise, made short enough to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histories.judge import Judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from histories.calls import Call
    from histories.judge import Finding
    from histories.plan import Plan
    from histories.world import World

MOST_PLAYED = 300
TIMES = 3
"""How often a shorter plan is played before it counts as keeping the promise: who wins a race differs from run to run."""


class Shrinking:
    """Looks for a shorter plan that breaks the same kind of promise, without a storm."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._left = MOST_PLAYED

    async def report(self, plan: Plan, calls: list[Call], finding: Finding, storm: str | None) -> str:
        """Say what was broken by which seed, and how to see it with the fewest steps."""
        lines = [f"seed {plan.seed}" + (f" while Redis was {storm}" if storm else ""), told(calls, finding)]
        shortest = None if storm else await self._shorten(plan)
        if shortest:
            shorter, calls, finding = shortest
            lines += [f"shrunk from {plan.steps} steps to {shorter.steps}:", str(shorter), told(calls, finding)]
        else:
            lines.append(str(plan))
        return "\n".join(lines)

    async def _shorten(self, plan: Plan) -> tuple[Plan, list[Call], Finding] | None:
        found = await self._broken(plan)
        while found:
            for shorter in found[0].shorter():
                if again := await self._broken(shorter):
                    found = again
                    break
            else:
                return found
        return None

    async def _broken(self, plan: Plan) -> tuple[Plan, list[Call], Finding] | None:
        for _ in range(TIMES):
            if not self._left:
                return None
            self._left -= 1
            [(_, calls)] = await self._world.play([plan])
            if findings := Judge.of(calls):
                return plan, calls, findings[0]
        return None


def told(calls: Sequence[Call], finding: Finding) -> str:
    """Tell of a broken promise: what settled it, what broke it, and everything that went on in between."""
    first = min(finding.settled.began if finding.settled else finding.call.began, finding.call.began)
    shown = [call for call in calls if call.ended >= first and call.began <= finding.call.ended]
    return "\n".join([finding.what, *(call.line(first) for call in sorted(shown, key=lambda call: call.began))])
