"""The meters of a worker's stores: who is asked, by which names telemetry knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.storage.cache import address_of
from app.storage.schema import credentials

if TYPE_CHECKING:
    from observability.record.operations import Commands, Queries
    from observability.record.recorder import Recorder


def query_meter(recorder: Recorder, url: str) -> Queries:
    """Return the meter of the PostgreSQL at a URL."""
    server = credentials(url)
    return recorder.operations.queries(server["database"] or "", server["host"] or "", server["port"])


def command_meter(recorder: Recorder, url: str) -> Commands:
    """Return the meter of the Redis at a URL."""
    return recorder.operations.commands(*address_of(url))
