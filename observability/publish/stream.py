"""Snapshots to the fleet's stream: one round trip a second, and no backlog whatever happens.

A snapshot is cumulative, so one that could not be sent is not kept: the next carries all of it.
"""

from __future__ import annotations

import asyncio
import logging

from observability.model import Snapshot, encode_snapshot
from observability.model.stream import STREAM_FIELD, STREAM_KEY, Commands

_logger = logging.getLogger(__name__)

MOST_BYTES = 8 * 1024 * 1024
"""About how much of Redis's memory the stream may take."""

FEWEST_ENTRIES = 120
MOST_ENTRIES = 8 * 3600
"""An hour of eight workers; the length is cut to what fits in MOST_BYTES at the present snapshot size."""

MOST_AGE = 3600
"""Seconds: an older entry is trimmed, and a stream that nobody writes to expires."""

# Redis's own clock makes the ids, so it also says what is too old. KEYS: stream. ARGV: length, field, snapshot, age.
_PUBLISH = """
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', ARGV[2], ARGV[3])
local now = tonumber(redis.call('TIME')[1])
redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%d', (now - ARGV[4]) * 1000))
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""


class StreamPublisher:
    """Sends snapshots; failures are counted and never raised. ``timeout`` is seconds for the whole round trip."""

    def __init__(self, redis: Commands, *, key: str = STREAM_KEY, timeout: float = 0.3) -> None:
        self.sent = 0
        self.failed = 0
        self._redis = redis
        self._key = key
        self._timeout = timeout
        self._well = True

    async def publish(self, snapshot: Snapshot) -> bool:
        """Send one snapshot and return whether Redis has it."""
        raw = encode_snapshot(snapshot)
        length = max(FEWEST_ENTRIES, min(MOST_ENTRIES, MOST_BYTES // len(raw)))
        try:
            async with asyncio.timeout(self._timeout):
                await self._redis.execute_command("EVAL", _PUBLISH, 1, self._key, length, STREAM_FIELD, raw, MOST_AGE)
        except Exception as error:  # noqa: BLE001 - whatever a handed-in client raises, the worker goes on
            self._failed(error)
            return False
        self.sent += 1
        if not self._well:
            self._well = True
            _logger.info("telemetry reaches Redis again")
        return True

    def _failed(self, error: Exception) -> None:
        self.failed += 1
        if self._well:
            self._well = False
            _logger.warning("telemetry cannot be published to Redis: %s", type(error).__name__)
