"""Reads that may be a little old, on streaming replicas: which one is asked, and when none is.

Once a second or more often, each worker asks the primary how far it is, then each replica whether it is as far. So the
lag is measured on one clock, and it grows also when nothing reaches a replica any more, or when nobody can say how far
the primary is. A replica is asked only while it is known to have everything but the last ``max_lag`` seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from app.errors import DatabaseUnavailable, GatewatchError
from app.storage.database import Database, PoolOptions, Statement
from app.storage.replication import PRIMARY, REPLICA

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from app.storage.engine import PoolMeter, QueryMeter

PATIENCE = 1.0
"""Seconds that a replica has for lending a connection, and for an answer; then the primary is asked."""

REST = 5.0
"""Seconds that a replica which failed is left alone."""

LONGEST_PERIOD = 1.0
LOOKS_IN_LAG = 4
"""How often a replica is looked at within the lag that it may have."""

_PRIMARY = Statement("primary_position", PRIMARY)
_REPLICA = Statement("replica_position", REPLICA)
_NEVER = float("-inf")
_log = logging.getLogger("gatewatch")


@dataclass(slots=True, eq=False)
class Replica:
    """One replica: everything that was committed up to ``level_at`` is known to be there."""

    name: str
    database: Database
    level_at: float = _NEVER
    rests_until: float = _NEVER
    in_flight: int = 0
    trouble: str | None = None


class Replicas:
    """All replicas of a primary, each with a bounded pool of its own. There may be none."""

    def __init__(
        self,
        replicas: Sequence[Replica],
        primary: Database,
        *,
        max_lag: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._replicas = deque(replicas)
        self._primary = primary
        self._max_lag = max_lag
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()
        self._looking: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        servers: Mapping[str, tuple[str, PoolMeter, QueryMeter]],
        options: PoolOptions,
        primary: Database,
        *,
        max_lag: float,
    ) -> Self:
        """Prepare the pools and begin to look; ``servers`` has the URL and the meters of each name."""
        hasty = replace(
            options,
            max_wait=min(PATIENCE, options.max_wait),
            query_timeout=min(PATIENCE, options.query_timeout),
        )
        opened = [
            Replica(name, await Database.open(url, hasty, meter, queries))
            for name, (url, meter, queries) in servers.items()
        ]
        replicas = cls(opened, primary, max_lag=max_lag)
        if opened:
            replicas._looking = asyncio.get_running_loop().create_task(replicas._keep_looking())
        return replicas

    @property
    def parts(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """For each replica by name, what raises DatabaseUnavailable while it is not asked."""
        return {replica.name: partial(self._confirm, replica) for replica in self._replicas}

    async def fetch(self, statement: Statement, *values: Any) -> list[dict[str, Any]] | None:
        """Run a statement on the fit replica with the least to do; None when the primary has to be asked instead."""
        self._replicas.rotate(-1)  # so that those with equally much to do take turns
        fit = [replica for replica in self._replicas if self._is_fit(replica)]
        if not fit:
            return None
        replica = min(fit, key=lambda each: each.in_flight)
        replica.in_flight += 1
        try:
            return await replica.database.fetch(statement, *values)
        except Exception as error:  # noqa: BLE001 - whatever it is, what holds is what the primary says
            replica.rests_until = self._clock() + REST
            self._judge(replica, _NEVER, f"it failed at {statement.name}: {error}")
            return None
        finally:
            replica.in_flight -= 1

    async def look(self) -> None:
        """Find out up to when each replica has everything."""
        begin = self._clock()
        try:
            [row] = await self._primary.fetch(_PRIMARY)
        except GatewatchError:
            return  # what is known of the replicas runs out by itself
        self._marks.append((begin, row["position"]))
        while begin - self._marks[0][0] > self._max_lag:
            self._marks.popleft()
        awake = [replica for replica in self._replicas if begin >= replica.rests_until]
        await asyncio.gather(*(self._measure(replica, row["identity"]) for replica in awake))

    async def close(self) -> None:
        """Look no more, and close the pools."""
        if self._looking:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        await asyncio.gather(*(replica.database.close() for replica in self._replicas))

    async def _confirm(self, replica: Replica) -> None:
        if not self._is_fit(replica):
            raise DatabaseUnavailable(replica.trouble or "nothing was heard of it lately")

    async def _keep_looking(self) -> None:
        period = min(LONGEST_PERIOD, self._max_lag / LOOKS_IN_LAG)
        while True:
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - what is known of the replicas runs out, and the next look is another try
                _log.exception("the replicas could not be looked at")
            await asyncio.sleep(period)

    async def _measure(self, replica: Replica, identity: str) -> None:
        try:
            [row] = await replica.database.fetch(_REPLICA)
        except GatewatchError as error:
            self._judge(replica, _NEVER, str(error))
            return
        if row["identity"] != identity:
            self._judge(replica, _NEVER, "it has another database than the primary")
        elif not row["follows"] or row["position"] is None:
            self._judge(replica, _NEVER, "it follows no other server")
        else:
            level_at = max((at for at, position in self._marks if position <= row["position"]), default=_NEVER)
            self._judge(replica, level_at, f"it is more than {self._max_lag:g} s behind")

    def _judge(self, replica: Replica, level_at: float, trouble: str) -> None:
        replica.level_at = level_at
        before, replica.trouble = replica.trouble, None if self._is_fit(replica) else trouble
        if replica.trouble and not before:
            _log.warning("%s is not asked: %s", replica.name, trouble)
        elif before and not replica.trouble:
            _log.warning("%s is asked again", replica.name)

    def _is_fit(self, replica: Replica) -> bool:
        now = self._clock()
        return now - replica.level_at <= self._max_lag and now >= replica.rests_until
