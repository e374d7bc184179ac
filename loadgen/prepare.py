"""Preparing the virtual users before the clock starts: registered, logged in, with a few spare sessions for the logouts."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from loadgen.client import Answer, Connection
from loadgen.errors import PrepareError
from loadgen.journeys import STEPS, Journeys, VirtualUser

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from loadgen.scenario import Scenario
    from loadgen.target import Target

CONCURRENCY = 4
"""Users prepared at a time: few, because each costs the service two password hashes."""

PATIENCE = 60.0
"""Seconds for which one request is tried again while the service asks to wait."""

_Pair = tuple[VirtualUser, Connection]
_ASKS_TO_WAIT = frozenset({429, 503})
_CONFLICT = 409
_LEAST_WAIT, _DEFAULT_WAIT = 0.05, 1.0


def spare_sessions(scenario: Scenario) -> int:
    """Return how many spare sessions a run begins with: logouts of two blocks, plus those under way beside unfinished logins."""
    logouts, size = scenario.mix.get("logout", 0), sum(scenario.mix.values())
    return 2 * logouts + math.ceil(scenario.users * logouts / size)


class Preparation:
    """Prepares users one after the other, a few at a time."""

    def __init__(
        self, target: Target, journeys: Journeys, *, pause: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self._target = target
        self._journeys = journeys
        self._pause = pause

    async def run(self, users: Sequence[_Pair], spares: int, ready: Callable[[], None]) -> None:
        """Register and log in every user, then open the spare sessions; call ``ready`` after each user.

        Raises PrepareError, with a line for a person, as soon as one of them cannot be prepared.
        """
        logins = [1 + spares // len(users) + (number < spares % len(users)) for number in range(len(users))]
        work = iter(zip(users, logins, strict=True))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(CONCURRENCY, len(users))):
                    group.create_task(self._prepare_from(work, ready))
        except* PrepareError as errors:
            first = errors.exceptions[0]
            raise PrepareError(str(first)) from first

    async def _prepare_from(self, work: Iterator[tuple[_Pair, int]], ready: Callable[[], None]) -> None:
        for (user, connection), logins in work:
            await self._insist("register", connection, self._journeys.register(user.email))
            for _ in range(logins):
                answer = await self._insist("login", connection, self._journeys.login(user))
                if not self._journeys.learn("login", user, answer.body):
                    raise PrepareError(f"{self._asked('login')} answered without a token: this is not Gatewatch")
            ready()

    async def _insist(self, step: str, connection: Connection, payload: bytes) -> Answer:
        """Send a request, waiting as long as the service asks within reason, until it is answered as expected."""
        waited = 0.0
        while True:
            answer = await connection.exchange(payload)
            if not answer.failure and answer.status == STEPS[step].expected:
                return answer
            if answer.failure or answer.status not in _ASKS_TO_WAIT:
                raise PrepareError(self._explain(step, answer))
            wait = _wait_asked(answer.retry_after)
            if waited + wait > PATIENCE:
                raise PrepareError(f"{self._explain(step, answer)}, and still did after {waited:.0f} s of waiting")
            waited += wait
            await self._pause(wait)

    def _asked(self, step: str) -> str:
        return f"{STEPS[step].method} {self._target.url}{STEPS[step].route}"

    def _explain(self, step: str, answer: Answer) -> str:
        if answer.failure == "connect":
            return f"cannot reach {self._target.url}: {answer.detail}"
        if answer.failure == "garbage":
            return f"{self._target.url} does not answer in HTTP/1.1: {answer.detail}"
        if answer.failure:
            return f"{self._asked(step)} got no answer ({answer.failure}): {answer.detail}"
        expected = STEPS[step].expected
        told = f"{self._asked(step)} answered {answer.status} instead of {expected}"
        if answer.status in _ASKS_TO_WAIT:
            return told
        if step == "register" and answer.status == _CONFLICT:
            return f"{told}: the users of this run exist already; give it another --run-id"
        return f"{told}: is this Gatewatch?"


def _wait_asked(retry_after: bytes) -> float:
    """Return the seconds that a Retry-After header asks for; one that is missing or is a date counts as one second."""
    try:
        return max(_LEAST_WAIT, float(int(retry_after)))
    except ValueError:
        return _DEFAULT_WAIT
