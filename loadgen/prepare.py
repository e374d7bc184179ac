"""Preparing the virtual users before the clock starts: registered, logged in, with a few spare sessions for the logouts."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from loadgen.client import header
from loadgen.errors import PrepareError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from loadgen.client import Answer, Connection
    from loadgen.scenario import Scenario
    from loadgen.target import Target
    from loadgen.workload import Payload, VirtualUser, Workload

CONCURRENCY = 4
"""Users prepared at a time: few, because each costs the service two password hashes."""

PATIENCE = 60.0
"""Seconds for which one request is tried again while the service asks to wait."""

_ASKS_TO_WAIT = frozenset({429, 503})
_CONFLICT = 409
_LEAST_WAIT, _DEFAULT_WAIT = 0.05, 1.0


def spare_sessions(scenario: Scenario, users: int) -> int:
    """Return how many spare sessions so many users begin with: logouts of two blocks, plus those beside unfinished logins."""
    logouts, size = scenario.mix.get("logout", 0), sum(scenario.mix.values())
    return 2 * logouts + math.ceil(users * logouts / size) if logouts else 0


class Preparation:
    """Prepares users one after the other, a few at a time: of ``parts`` processes that do the same, each fewer."""

    def __init__(
        self,
        target: Target,
        workload: Workload,
        *,
        parts: int = 1,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._target = target
        self._workload = workload
        self._most = max(1, CONCURRENCY // parts)
        self._pause = pause

    async def run(
        self, users: Sequence[VirtualUser], connections: Sequence[Connection], spares: int, ready: Callable[[], None]
    ) -> None:
        """Take every user through its steps, on the connections in turn; call ``ready`` after each user.

        Raises PrepareError, with a line for a person, as soon as one of them cannot be prepared.
        """
        steps = self._workload.preparation(len(users), spares)
        work = [
            (user, connections[number % len(connections)], todo)
            for number, (user, todo) in enumerate(zip(users, steps, strict=True))
        ]
        at_once = min(self._most, len(connections))
        try:
            async with asyncio.TaskGroup() as group:
                for first in range(at_once):
                    # A connection carries one exchange at a time: whoever has it, has all of its users.
                    mine = [each for number, each in enumerate(work) if number % len(connections) % at_once == first]
                    group.create_task(self._prepare_all(mine, ready))
        except* PrepareError as errors:
            first_error = errors.exceptions[0]
            raise PrepareError(str(first_error)) from first_error

    async def _prepare_all(
        self, work: Iterable[tuple[VirtualUser, Connection, tuple[str, ...]]], ready: Callable[[], None]
    ) -> None:
        for user, connection, steps in work:
            for step in steps:
                payload = self._workload.prepare(step, user)
                if payload is None:
                    raise PrepareError(f"{self._asked(step)} needs a value that nothing before it captured")
                answer = await self._insist(step, connection, payload)
                if not self._workload.learn(step, user, answer):
                    raise PrepareError(f"{self._asked(step)} answered without {self._lacks}")
            ready()

    async def _insist(self, step: str, connection: Connection, payload: Payload) -> Answer:
        """Send a request, waiting as long as the service asks within reason, until it is answered as expected."""
        waited = 0.0
        while True:
            answer = await connection.exchange(payload.head + payload.rest)
            if not answer.failure and answer.status in self._workload.steps[step].expected:
                return answer
            if answer.failure or answer.status not in _ASKS_TO_WAIT:
                raise PrepareError(self._explain(step, answer))
            wait = _wait_asked(header(answer.head, b"retry-after") or b"")
            if waited + wait > PATIENCE:
                raise PrepareError(f"{self._explain(step, answer)}, and still did after {waited:.0f} s of waiting")
            waited += wait
            await self._pause(wait)

    @property
    def _lacks(self) -> str:
        own = self._workload.unready == "no value"
        return "what it should give" if own else "a token: this is not Gatewatch"

    def _asked(self, step: str) -> str:
        known = self._workload.steps[step]
        return f"{known.method} {self._target.url}{known.route}"

    def _explain(self, step: str, answer: Answer) -> str:
        if answer.failure == "connect":
            return f"cannot reach {self._target.url}: {answer.detail}"
        if answer.failure == "garbage":
            return f"{self._target.url} does not answer in HTTP/1.1: {answer.detail}"
        if answer.failure:
            return f"{self._asked(step)} got no answer ({answer.failure}): {answer.detail}"
        expected = " or ".join(map(str, self._workload.steps[step].expected))
        told = f"{self._asked(step)} answered {answer.status} instead of {expected}"
        if answer.status in _ASKS_TO_WAIT or self._workload.unready != "no session":
            return told
        if step == "register" and answer.status == _CONFLICT:
            return f"{told}: the users of this run exist already; give it another --run-id"
        return f"{told}: is this Gatewatch? For another service a scenario names its own requests, [request.NAME]"


def _wait_asked(retry_after: bytes) -> float:
    """Return the seconds that a Retry-After header asks for; one that is missing or is a date counts as one second."""
    try:
        return max(_LEAST_WAIT, float(int(retry_after)))
    except ValueError:
        return _DEFAULT_WAIT
