"""What workers tell the fleet of: settings that were changed, load runs. Kept in Redis for an hour."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from observability.read.detail import Annotation
from observability.read.stream import newest_fields

if TYPE_CHECKING:
    from observability.model.stream import Commands

NOTES_KEY = "gatewatch:notes"
"""The Redis Stream of notes."""

NOTE_FIELD = b"note"

MOST_NOTES = 500
"""Past it the oldest are forgotten."""

MOST_OWN = 100

NOTES_SECONDS = 3600

_TIMEOUT = 1.0
_MOST_TEXT = 500

# KEYS: stream. ARGV: length, field, note, age.
_NOTE = """
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', ARGV[2], ARGV[3])
local now = tonumber(redis.call('TIME')[1])
redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%d', (now - ARGV[4]) * 1000))
redis.call('EXPIRE', KEYS[1], ARGV[4])
"""

_logger = logging.getLogger(__name__)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Annotation)


class Notes:
    """The fleet's notes, and this worker's own for when Redis is away."""

    def __init__(self) -> None:
        self._own: deque[Annotation] = deque(maxlen=MOST_OWN)

    async def add(self, redis: Commands | None, annotation: Annotation) -> None:
        """Tell the fleet; while Redis is away, this worker alone knows."""
        annotation = msgspec.structs.replace(annotation, text=annotation.text[:_MOST_TEXT])
        self._own.append(annotation)
        if redis is None:
            return
        raw = _encoder.encode(annotation)
        try:
            async with asyncio.timeout(_TIMEOUT):
                await redis.execute_command("EVAL", _NOTE, 1, NOTES_KEY, MOST_NOTES, NOTE_FIELD, raw, NOTES_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever a handed-in client raises, what was noted has happened
            _logger.info("a note could not be kept: %s", type(error).__name__)

    async def read(self, redis: Commands | None) -> set[Annotation]:
        """Return what anybody noted; this worker's own notes when Redis is away."""
        own = set(self._own)
        if redis is None:
            return own
        try:
            async with asyncio.timeout(_TIMEOUT):
                entries = await newest_fields(redis, NOTES_KEY, NOTE_FIELD, MOST_NOTES)
        except Exception:  # noqa: BLE001 - whatever a handed-in client raises
            return own
        return own | {note for _, raw in entries if (note := _decoded(raw)) is not None}


def _decoded(raw: bytes) -> Annotation | None:
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
