"""The whole service, on the real stores of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from running import Serve, Service, running

from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from app.embedded import Server


@pytest.fixture
def serve(database_url: str, redis: Server, data_dir: Path) -> Serve:
    """Return a function that runs a worker with some settings changed, and with an ``environment`` for telemetry."""
    usual = {
        "database_url": database_url,
        "redis_url": redis.url,
        "data_dir": data_dir,
        "workers": 1,
        "secret": "s" * 43,
        "redis_timeout": 5.0,  # a busy machine is not one whose Redis is away
        "hash_max_time": 60.0,  # nor one that refuses
    }

    def run(**changes: Any) -> AbstractAsyncContextManager[Service]:
        environment = changes.pop("environment", None)
        return running(Settings(**{**usual, **changes}), environment=environment)

    return run


@pytest.fixture
async def hasty(serve: Serve) -> AsyncIterator[Service]:
    """Run a worker that gives up a Redis that does not answer within a second."""
    async with serve(redis_timeout=1.0) as worker:
        yield worker


@pytest.fixture
async def service(serve: Serve) -> AsyncIterator[Service]:
    """Run a worker with ordinary settings."""
    async with serve() as worker:
        yield worker
