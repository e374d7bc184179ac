"""What publishers and readers of the snapshot stream must agree on."""

from __future__ import annotations

from typing import Any, Protocol

STREAM_KEY = "gatewatch:telemetry"
"""The Redis Stream that every worker of the fleet writes to."""

COARSE_KEY = "gatewatch:telemetry:tens"
"""The stream of every worker's first snapshot in each ten seconds: what a late reader learns the older past from."""

STREAM_FIELD = b"snapshot"
"""The one field of an entry: an encoded snapshot."""


class Commands(Protocol):
    """The little of a Redis client that telemetry needs; redis-py's asyncio clients (not decoding replies) have it."""

    async def execute_command(self, *args: Any) -> Any:
        """Send one command and return its reply."""
