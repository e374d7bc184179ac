"""The watch: evaluates the alerts every five seconds, once in the whole fleet.

Whoever holds a lease in Redis evaluates; the board is kept beside it, so that every console shows the same and a
successor goes on where another stopped. A board is only taken while the lease is still its writer's, in one step: one
who was frozen and thawed cannot overwrite what happened meanwhile. Without Redis each worker judges itself alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

from observability.read.alerts import findings
from observability.read.board import BOARD_KEY, advance, decode_board, encode_board
from observability.read.budget import Budgets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from observability.model import Slo
    from observability.model.stream import Commands
    from observability.read.board import Board
    from observability.read.store import FleetStore
    from observability.read.view import Transition

LEASE_KEY = "gatewatch:{alerts}:lease"

INTERVAL = 5.0
"""Seconds between evaluations."""

LEASE_SECONDS = 15
"""A holder that is not heard of for so long is replaced."""

BOARD_SECONDS = 7200
"""How long the board outlives the last evaluation."""

_TIMEOUT = 1.0
_AGES_BOARD = 3600.0

# KEYS: lease, board. ARGV: who asks, milliseconds. Returns the board to the holder and nil to others.
_HOLD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('GET', KEYS[2]) or ''
"""

# KEYS: lease, board. ARGV: who writes, board, seconds. Returns whether it was taken.
_WRITE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
return 1
"""

# KEYS: lease. ARGV: who gives it up.
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"

_PATIENCE = 0.5
"""Seconds that a stop waits for what it has cancelled."""

_logger = logging.getLogger(__name__)


class Watch:
    """One worker's part in the watch; ``worker`` names it, and ``clock`` gives Unix seconds."""

    def __init__(self, store: FleetStore, *, slo: Slo, worker: str, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._slo = slo
        self._worker = worker.encode()
        self._clock = clock
        self._budgets = Budgets(slo)
        self._own_budgets = Budgets(slo)
        self._written: Board | None = None
        self._own: Board | None = None
        self._running: asyncio.Task[None] | None = None
        self._redis: Commands | None = None

    def connect(self, redis: Commands | None) -> None:
        """Take part in the fleet's watch through this client; None for this worker alone."""
        self._redis = redis

    def start(self, redis: Commands | None) -> None:
        """Begin on the running loop; without rules there is nothing to do."""
        self.connect(redis)
        if self._slo.alert or self._slo.burn:
            self._running = asyncio.create_task(self._run(), name="alerts")

    async def stop(self) -> None:
        """Stop, and let a successor begin at once."""
        if self._running is None:
            return
        self._running.cancel()
        await asyncio.wait({self._running}, timeout=_PATIENCE)
        self._running = None
        with contextlib.suppress(Exception):  # the lease ends by itself
            await self._ask("EVAL", _RELEASE, 1, LEASE_KEY, self._worker)

    async def _run(self) -> None:
        while True:
            try:
                await self.tick()
            except Exception:
                # One bad look must not end all the following ones.
                _logger.exception("the alerts could not be evaluated")
            await asyncio.sleep(INTERVAL)

    async def tick(self) -> None:
        """Evaluate, if it is on this worker to do so."""
        try:
            raw = await self._ask("EVAL", _HOLD, 2, LEASE_KEY, BOARD_KEY, self._worker, LEASE_SECONDS * 1000)
        except Exception:  # noqa: BLE001 - whatever a handed-in client raises, the worker judges itself
            await self._judge_itself()
            return
        if raw is not None:
            await self._judge_fleet(decode_board(raw) or self._remembered())

    async def _judge_fleet(self, board: Board | None) -> None:
        view = await self._store.view()
        if view.scope != "fleet":
            return
        await self._budgets.look(self._store.tens)
        board, changes = advance(board, findings(self._slo, view, self._budgets), self._clock())
        raw = encode_board(board)
        try:
            taken = await self._ask("EVAL", _WRITE, 2, LEASE_KEY, BOARD_KEY, self._worker, raw, BOARD_SECONDS)
        except Exception as error:  # noqa: BLE001 - the next evaluation tries again
            _logger.info("the alerts could not be kept: %s", type(error).__name__)
            return
        if taken:
            self._written = board
            _tell(changes, "")

    async def _judge_itself(self) -> None:
        """Judge this worker alone. Its states are its own: they neither come from the fleet's nor go there."""
        view = await self._store.view()
        if view.scope != "worker":
            return
        await self._own_budgets.look(self._store.tens)
        found = findings(self._slo, view, self._own_budgets)
        self._own, changes = advance(self._own, found, self._clock())
        self._store.hold_board(self._own)
        _tell(changes, f" (of worker {self._worker.decode()} alone: Redis is away)")

    def _remembered(self) -> Board | None:
        """Return what this worker wrote last, for a Redis that has lost it."""
        written = self._written
        return written if written and self._clock() - written.at < _AGES_BOARD else None

    async def _ask(self, *command: Any) -> Any:
        if self._redis is None:
            raise ConnectionError("there is no Redis")
        async with asyncio.timeout(_TIMEOUT):
            return await self._redis.execute_command(*command)


def _tell(changes: Iterable[Transition], whose: str) -> None:
    for change in changes:
        name = f"{change.rule} {change.subject}".strip()
        _logger.warning("alert %s%s: %s, was %s: %s", name, whose, change.state, change.was, change.reason)
