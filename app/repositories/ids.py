"""Identifiers that sort by creation (UUIDv7, RFC 9562), so that an id is a cursor and an index grows at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from uuid_utils.compat import uuid7

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["earliest_id", "new_id"]

_VERSION_AND_VARIANT = 0x7000_8000_0000_0000_0000


def new_id() -> UUID:
    """Make an id of this moment."""
    return uuid7()


def earliest_id(moment: datetime) -> UUID:
    """Return the smallest id that a moment can have; every id made before it is smaller."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=(milliseconds << 80) | _VERSION_AND_VARIANT)
