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

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SERVER_CORE, DRIVER_CORE = 0, 1


@dataclass(frozen=True)
class Instance:
    """A running service. ``pid`` is that of the process which answers requests."""

    url: str
    pid: int
    database_url: str = ""
    redis_url: str = ""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def gatewatch(folder: Path, **settings: str) -> Iterator[Instance]:
    """Run Gatewatch with one worker."""
    port = free_port()
    environment = {
        "GATEWATCH_PORT": str(port),
        "GATEWATCH_DATA_DIR": str(folder),
        "GATEWATCH_WORKERS": "1",
        **settings,
    }
    with _pinned(["-m", "app", "serve"], environment) as process:
        _wait_for(f"http://127.0.0.1:{port}/health/ready", process)
        written = json.loads((folder / "instance.json").read_text())
        children = psutil.Process(process.pid).children(recursive=True)
        [worker] = [child.pid for child in children if "_worker" in child.cmdline()]
        yield Instance(written["url"], worker, written["database_url"], written["redis_url"])
    discard(folder / "postgres")


@contextlib.contextmanager
def rival(redis_url: str) -> Iterator[Instance]:
    """Run the servers to compare with."""
    port = free_port()
    with _pinned(["-m", "benchmarks.rivals", str(port)], {"REDIS_URL": redis_url}) as process:
        _wait_for(f"http://127.0.0.1:{port}/json", process)
        yield Instance(f"http://127.0.0.1:{port}", process.pid)


@contextlib.contextmanager
def _pinned(arguments: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWATCH_", "OTEL_"))}
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, *arguments],
        env={**inherited, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),  # noqa: PLW1509 - no threads have been started yet
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urlopen(url, timeout=1):  # noqa: S310 - our own server
            return
        if process.poll() is not None:
            raise RuntimeError(f"the server of {url} ended with code {process.returncode}")
        time.sleep(0.05)
    raise RuntimeError(f"{url} did not answer within a minute")
