"""Kept traces to the fleet's stream, once a second with the snapshot."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from observability.model import encode_kept
from observability.model.kept import KEPT_FIELD, KEPT_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observability.model import KeptTrace
    from observability.model.stream import Commands

MOST_ENTRIES = 2000
"""About how many traces of the whole fleet the stream keeps."""

MOST_BYTES = 16 * 1024
"""Of one trace; a longer one goes without its logs, and then with half of its spans, and half of those, and last without attributes."""

MOST_AGE = 3600
"""Seconds after which a stream that nobody writes to expires."""

# KEYS: stream. ARGV: length, age, field, traces.
_PUBLISH = """
for place = 4, #ARGV do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', ARGV[3], ARGV[place])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""


class KeptPublisher:
    """Sends kept traces in one round trip, for which ``timeout`` is seconds; failures are never raised."""

    def __init__(self, redis: Commands, *, key: str = KEPT_KEY, timeout: float = 0.3) -> None:
        self.bytes = 0
        """How many it has sent."""
        self._redis = redis
        self._key = key
        self._timeout = timeout

    async def publish(self, traces: Sequence[KeptTrace]) -> bool:
        """Send traces and return whether Redis has them."""
        if not traces:
            return True
        try:
            encoded = [_bounded(trace) for trace in traces]
            async with asyncio.timeout(self._timeout):
                await self._redis.execute_command(
                    "EVAL", _PUBLISH, 1, self._key, MOST_ENTRIES, MOST_AGE, KEPT_FIELD, *encoded
                )
        except Exception:  # noqa: BLE001 - whatever a handed-in client raises, the snapshot's own failure is told
            return False
        self.bytes += sum(map(len, encoded))
        return True


def _bounded(trace: KeptTrace) -> bytes:
    raw = encode_kept(trace)
    while len(raw) > MOST_BYTES and (trace.logs or trace.spans):
        if trace.logs:
            trace = msgspec.structs.replace(trace, logs=(), dropped=trace.dropped + len(trace.logs))
        else:
            half = len(trace.spans) // 2
            dropped = trace.dropped + len(trace.spans) - half
            trace = msgspec.structs.replace(trace, spans=trace.spans[:half], dropped=dropped)
        raw = encode_kept(trace)
    return raw if len(raw) <= MOST_BYTES else encode_kept(msgspec.structs.replace(trace, attributes=()))
