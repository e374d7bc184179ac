"""Processes to measure, each on the core it is given and gone afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.request import urlopen

import psutil

from app.embedded import discard
from benchmarks.rivals import installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

SERVER_CORE, DRIVER_CORE = 0, 1
BOTH = (SERVER_CORE, DRIVER_CORE)
UNLIMITED = {"GATEWATCH_LIMIT_CHECKS": "6000000/min", "GATEWATCH_LIMIT_LOGINS": "600000/min"}
"""All clients have one address here. The limits are there and cost what they cost; they bind nobody."""

POOL_SIZE = 20
"""PostgreSQL connections of an instance, ours or a rival's, divided among its workers; ours by default."""


@dataclass(frozen=True)
class Instance:
    """A running service. ``pid`` is that of the process which answers requests, the first of ``pids`` if several do."""

    url: str
    pid: int
    database_url: str = ""
    redis_url: str = ""
    pids: tuple[int, ...] = ()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def gatewatch(folder: Path, cores: Sequence[int] = (SERVER_CORE,), **settings: str) -> Iterator[Instance]:
    """Run Gatewatch, PostgreSQL and Redis on ``cores``, with one worker and wide limits unless ``settings`` say otherwise."""
    port = free_port()
    environment = {
        "GATEWATCH_PORT": str(port),
        "GATEWATCH_DATA_DIR": str(folder),
        "GATEWATCH_WORKERS": "1",
        **UNLIMITED,
        **settings,
    }
    try:
        with pinned([sys.executable, "-m", "app", "serve"], environment, cores) as process:
            described = folder / "instance.json"  # written when every worker is ready
            wait_for(f"{described} is there", described.exists, process)
            written = json.loads(described.read_text())
            children = psutil.Process(process.pid).children(recursive=True)
            forked = {child.pid for child in children if "_fork_server" in child.cmdline()}
            workers = tuple(child.pid for child in children if child.pid in forked and child.ppid() in forked)
            yield Instance(written["url"], workers[0], written["database_url"], written["redis_url"], workers)
    finally:
        discard(folder / "postgres")


@contextlib.contextmanager
def rival(redis_url: str) -> Iterator[Instance]:
    """Run Sanic's bare handlers."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.rivals.bare", str(port)]
    with pinned(command, {"REDIS_URL": redis_url}, (SERVER_CORE,)) as process:
        wait_for_answer(f"http://127.0.0.1:{port}/json", process)
        yield Instance(f"http://127.0.0.1:{port}", process.pid)


@contextlib.contextmanager
def closed_way(stores: Instance, folder: Path, *ways: str) -> Iterator[Instance]:
    """Run one more worker of ours on the stores of an instance, with some of its short ways closed."""
    port = free_port()
    environment = {
        "DATABASE_URL": stores.database_url,
        "REDIS_URL": stores.redis_url,
        "GATEWATCH_DATA_DIR": str(folder),
        "GATEWATCH_WORKERS": "1",
        "GATEWATCH_SECRET": "s" * 43,
        **UNLIMITED,
    }
    command = [sys.executable, "-m", "benchmarks.closed_way", str(port), *ways]
    with pinned(command, environment, (SERVER_CORE,)) as process:
        wait_for_answer(f"http://127.0.0.1:{port}/health/live", process)
        yield Instance(f"http://127.0.0.1:{port}", process.pid)


@contextlib.contextmanager
def fastapi_users(stores: Instance, cores: Sequence[int] = (SERVER_CORE,), workers: int = 1) -> Iterator[Instance]:
    """Run fastapi-users under uvicorn on another instance's PostgreSQL, and on database 1 of its Redis."""
    port, redis_url = free_port(), stores.redis_url.removesuffix("/0") + "/1"
    command = [str(installed()), "-m", "uvicorn", "benchmarks.rivals.fastapi_users_app:app", f"--port={port}"]
    command += [f"--workers={workers}", "--loop=uvloop", "--http=httptools", "--no-access-log", "--log-level=warning"]
    environment = {
        "DATABASE_URL": stores.database_url,
        "REDIS_URL": redis_url,
        "POOL_SIZE": str(POOL_SIZE // workers),
    }
    with pinned(command, environment, cores) as process:
        wait_for_answer(f"http://127.0.0.1:{port}/docs", process)
        yield Instance(f"http://127.0.0.1:{port}", process.pid, stores.database_url, redis_url)


@contextlib.contextmanager
def pinned(
    command: list[str],
    environment: Mapping[str, str],
    cores: Sequence[int],
    stdout: int | BinaryIO = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program on ``cores`` until the block ends; of our own settings it has only those in ``environment``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWATCH_", "OTEL_"))}
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # what a process has when it starts another, that one has
    try:
        process = subprocess.Popen(  # noqa: S603 - ourselves, or a rival that we wrote down
            command,
            env={**inherited, **environment},
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        os.sched_setaffinity(0, own)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_for_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when a server answers there; raise RuntimeError when its process ends or a minute passes first."""

    def answers() -> bool:
        with contextlib.suppress(OSError), urlopen(url, timeout=1):  # noqa: S310 - our own server
            return True
        return False

    wait_for(f"{url} answers", answers, process)


def wait_for(what: str, holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Return when it holds; raise RuntimeError when the process ends or a minute passes first."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if holds():
            return
        if process.poll() is not None:
            raise RuntimeError(f"waited until {what}, and the server ended with code {process.returncode}")
        time.sleep(0.05)
    raise RuntimeError(f"waited a minute, and it is not so that {what}")
