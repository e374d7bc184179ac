"""The launcher as its user meets it: a process of its own, in a data folder of its own, on a free port."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from app.embedded import discard
from app.embedded.port import free_port
from app.launcher import Instance, running_instance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# What only root can be asked to prove. An ordinary user's run does not list these tests, so that none is skipped.
collect_ignore = [] if os.geteuid() == 0 else ["test_servers_as_root.py"]

PASSWORD = "correct horse battery"
PATIENCE = 120.0
"""Seconds in which what is not promised by a moment must have happened, however busy the machine is."""


class Serve:
    """A `gatewatch serve` that can be started, hurt and stopped."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._email = ""
        self._ever: dict[int, psutil.Process] = {}

    @property
    def launcher(self) -> subprocess.Popen[bytes]:
        """The launcher's process."""
        assert self._process is not None
        return self._process

    @property
    def instance(self) -> Instance:
        """What the launcher published."""
        instance = running_instance(self.folder)
        assert instance is not None
        return instance

    def start(self, **environment: str) -> None:
        """Start it and wait until it is ready."""
        self._process = self.spawn(**environment)
        until(lambda: self._is_ready(self.launcher), PATIENCE)
        self.descendants()

    def spawn(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a launcher and do not wait."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWATCH_", "OTEL_"))}
        for name in ("DATABASE_URL", "DATABASE_REPLICA_URLS", "REDIS_URL"):
            inherited.pop(name, None)
        settings = {"GATEWATCH_PORT": str(self.port), "GATEWATCH_DATA_DIR": str(self.folder)}
        # A busy machine is no reason to refuse, nor to take Redis for gone.
        settings |= {"GATEWATCH_HASH_MAX_TIME": "60", "GATEWATCH_REDIS_TIMEOUT": "5"} | environment
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "app", "serve"],
            env=inherited | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def refused(self, **environment: str) -> str:
        """Start a launcher that cannot run; return its one line after asserting that it is one."""
        out, err = self.spawn(**environment).communicate(timeout=PATIENCE)
        lines = err.decode().splitlines()
        assert len(lines) == 1, err.decode()
        assert lines[0].startswith("gatewatch: ")
        assert b"ready" not in out
        return lines[0]

    def descendants(self) -> list[psutil.Process]:
        """Every process below the launcher now: guards, servers, workers."""
        found = psutil.Process(self.launcher.pid).children(recursive=True)
        self._ever |= {process.pid: process for process in found}
        return found

    def workers(self) -> list[psutil.Process]:
        """Return the serving processes."""
        forked = {each.pid: each for each in self.descendants() if "_fork_server" in _command(each)}
        return [each for each in forked.values() if _parent(each) in forked]

    def fork_server(self) -> psutil.Process | None:
        """Return the process that the workers are forked from, if there is one at this moment."""
        forked = [each for each in self.descendants() if "_fork_server" in _command(each)]
        return next((each for each in forked if _parent(each) == self.launcher.pid), None)

    def server(self, program: str) -> psutil.Process:
        """Return the main process of the embedded `program`."""
        server = self.server_now(program)
        assert server is not None
        return server

    def server_now(self, program: str) -> psutil.Process | None:
        """Return it if it is there at this moment."""
        with contextlib.suppress(psutil.Error):
            for guard in self.descendants():
                if _command(guard)[-1:] == [program]:
                    return next((child for child in guard.children() if _runs(child)), None)
        return None

    def client(self) -> httpx.Client:
        """Return a client of the API."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def answers(self) -> bool:
        """Whether a request on a new connection is answered, by a worker that has all it needs."""
        with contextlib.suppress(httpx.HTTPError), self.client() as client:
            health = client.get("/health/ready")
            return health.status_code == 200 and health.json()["status"] == "ok"
        return False

    def register(self) -> int:
        """Open a new account; return the status, 0 when there was no answer."""
        self._email = f"{uuid.uuid4().hex}@example.org"
        with contextlib.suppress(httpx.HTTPError), self.client() as client:
            return client.post("/auth/register", json={"email": self._email, "password": PASSWORD}).status_code
        return 0

    def login(self) -> int:
        """Log in to the newest account; return the status, 0 when there was no answer."""
        with contextlib.suppress(httpx.HTTPError), self.client() as client:
            return client.post("/auth/login", json={"email": self._email, "password": PASSWORD}).status_code
        return 0

    def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        self.launcher.send_signal(signal.SIGTERM)
        return self.ended(PATIENCE)

    def ended(self, patience: float) -> int:
        """Wait for the launcher's end; return its exit code."""
        out, err = self.launcher.communicate(timeout=patience)
        assert b"Traceback" not in out + err, (out + err).decode()
        return self.launcher.returncode

    def left(self) -> list[psutil.Process]:
        """Every process that ever belonged to it and runs still."""
        return [process for process in self._ever.values() if _runs(process)]

    def clean(self) -> None:
        """Leave nothing, however the test ended."""
        if self.is_up():
            self.descendants()
            self.launcher.kill()
            self.launcher.communicate()
        with contextlib.suppress(AssertionError):
            until(lambda: not self.left(), 20)
        for process in self.left():
            process.kill()
        discard(self.folder / "postgres")

    def is_up(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def _is_ready(self, launcher: subprocess.Popen[bytes]) -> bool:
        if launcher.poll() is not None:
            out, err = launcher.communicate()
            pytest.fail(f"the launcher ended: {(out + err).decode()}")
        instance = running_instance(self.folder)
        return instance is not None and instance.pid == launcher.pid


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a launcher that is not started yet."""
    serve = Serve(tmp_path / "data")
    yield serve
    serve.clean()


@pytest.fixture(scope="session")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Return one launcher for all tests: whatever one test does to it, the next start has to recover from."""
    serve = Serve(tmp_path_factory.mktemp("lasting") / "data")
    yield serve
    serve.clean()


@pytest.fixture
def running(lasting: Serve) -> Serve:
    """Return a launcher that is ready, with a new account; an earlier test may just have hurt it."""
    if not lasting.is_up():
        lasting.start()
    until(lambda: lasting.register() == 201, PATIENCE)
    return lasting


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool], float], None]:
    """Return the function that waits for something to come true."""
    return until


def until(true: Callable[[], bool], seconds: float) -> None:
    """Wait until it is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.02)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:
        return None


def _runs(process: psutil.Process) -> bool:
    # Whoever adopted it may be slow to collect it; a zombie runs no more.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
