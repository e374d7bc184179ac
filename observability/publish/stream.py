"""Snapshots to the fleet's streams: a round trip a second, another every ten, and no backlog whatever happens.

A snapshot is cumulative, so one that could not be sent is not kept: the next carries all of it. The same round trip
leaves the newest snapshot of each worker where the workers of its instance find it; see ``observability.publish.instance``.
"""

from __future__ import annotations

import asyncio
import logging

from observability.model import Snapshot, encode_snapshot
from observability.model.stream import COARSE_KEY, STREAM_FIELD, STREAM_KEY, Commands

_logger = logging.getLogger(__name__)

MOST_BYTES = 8 * 1024 * 1024
"""About how much of Redis's memory the stream may take."""

FEWEST_ENTRIES = 120
MOST_ENTRIES = 8 * 3600
"""An hour of eight workers; the length is cut to what fits in MOST_BYTES at the present snapshot size."""

MOST_COARSE_BYTES = 24 * 1024 * 1024
"""About how much the stream of tens may take: an hour of 16 workers with snapshots of 4 KiB."""

MOST_AGE = 3600
"""Seconds: an older entry is trimmed, and a stream that nobody writes to expires."""

KEPT = 300
"""Seconds that the last snapshot of a worker is kept, so that what it counted last is still read once."""

# Redis's own clock makes the ids, so it also says what is too old.
# KEYS: stream, newest snapshots of the instance, when they came. ARGV: length, field, snapshot, age, worker, kept.
_PUBLISH = """
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', ARGV[2], ARGV[3])
local now = tonumber(redis.call('TIME')[1])
redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%d', (now - ARGV[4]) * 1000))
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('HSET', KEYS[2], ARGV[5], ARGV[3])
redis.call('ZADD', KEYS[3], now, ARGV[5])
for _, gone in ipairs(redis.call('ZRANGE', KEYS[3], '-inf', now - ARGV[6], 'BYSCORE')) do
  redis.call('HDEL', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end
redis.call('EXPIRE', KEYS[2], ARGV[6])
redis.call('EXPIRE', KEYS[3], ARGV[6])
return 1
"""

# KEYS: stream. ARGV: length, field, snapshot, age.
_PUBLISH_COARSE = """
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', ARGV[2], ARGV[3])
local now = tonumber(redis.call('TIME')[1])
redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%d', (now - ARGV[4]) * 1000))
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""
_TEN = 10


def newest_keys(instance: str, key: str = STREAM_KEY) -> tuple[str, str]:
    """Return where the newest snapshots of an instance are, by worker, and when they came; beside the stream in a cluster."""
    return f"{{{key}}}:newest:{instance}", f"{{{key}}}:came:{instance}"


class StreamPublisher:
    """Sends snapshots; failures are counted and never raised. ``timeout`` is seconds for the whole round trip."""

    def __init__(
        self, redis: Commands, *, key: str = STREAM_KEY, coarse_key: str = COARSE_KEY, timeout: float = 0.3
    ) -> None:
        self.sent = 0
        self.failed = 0
        self.bytes = 0
        """How many it has sent, in either stream."""
        self.published: Snapshot | None = None
        """The newest snapshot that Redis is known to have."""
        self._redis = redis
        self._key = key
        self._coarse_key = coarse_key
        self._ten = -1
        self._timeout = timeout
        self._well = True

    async def publish(self, snapshot: Snapshot) -> bool:
        """Send one snapshot and return whether Redis has it."""
        raw = encode_snapshot(snapshot)
        length = max(FEWEST_ENTRIES, min(MOST_ENTRIES, MOST_BYTES // len(raw)))
        newest = newest_keys(snapshot.instance, self._key)
        arguments = (length, STREAM_FIELD, raw, MOST_AGE, snapshot.worker, KEPT)
        try:
            async with asyncio.timeout(self._timeout):
                await self._redis.execute_command("EVAL", _PUBLISH, 3, self._key, *newest, *arguments)
                await self._publish_coarse(snapshot.taken, raw)
        except Exception as error:  # noqa: BLE001 - whatever a handed-in client raises, the worker goes on
            self._failed(error)
            return False
        self.sent += 1
        self.bytes += len(raw)
        self.published = snapshot
        if not self._well:
            self._well = True
            _logger.info("telemetry reaches Redis again")
        return True

    async def _publish_coarse(self, taken: float, raw: bytes) -> None:
        """Send the first snapshot of each ten seconds to the stream that remembers for longer, too."""
        ten = round(taken) // _TEN
        if ten == self._ten:
            return
        length = max(FEWEST_ENTRIES, min(MOST_ENTRIES, MOST_COARSE_BYTES // len(raw)))
        arguments = (length, STREAM_FIELD, raw, MOST_AGE)
        await self._redis.execute_command("EVAL", _PUBLISH_COARSE, 1, self._coarse_key, *arguments)
        self.bytes += len(raw)
        self._ten = ten

    def _failed(self, error: Exception) -> None:
        self.failed += 1
        if self._well:
            self._well = False
            _logger.warning("telemetry cannot be published to Redis: %s", type(error).__name__)
