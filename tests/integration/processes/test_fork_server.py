"""Claims about the process that workers are forked from."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
import pytest

from app.launcher.fork_server import ForkServer
from app.security.lending import Lending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from app.embedded import Server

    Until = Callable[[Callable[[], bool], float], None]
    Serve = Any

PATIENCE = 60.0
CODED, KILLED = 7, 9
PROGRAM = f"""
import gc, os, random, secrets, signal, socket, sys, threading, uuid
import uuid_utils
from app.control import Control
from app.fork_server import fork_workers, run_worker
from app.security.lending import Lending
from app.settings import Settings
from observability.record.current import Current
from observability.record.recorder import Recorder

def drawn():
    return dict(
        random=random.random(), bits=random.getrandbits(64), secret=secrets.token_hex(8), uuid4=str(uuid.uuid4()),
        uuid7=str(uuid_utils.uuid7()), worker=Recorder(instance="").worker, pid=os.getpid(), process_group=os.getpgid(0),
    )

drawn()  # so that there is a state to copy
number, listener, lending, control = fork_workers(socket.socket(fileno=int(sys.argv[-1].partition("=")[2])))
if number == {CODED}:
    sys.exit({CODED})
if number == {KILLED}:
    os.kill(os.getpid(), signal.SIGKILL)
def place(fd):
    try:
        return os.readlink(f"/proc/self/fd/{{fd}}").partition(":")[0]
    except FileNotFoundError:
        return ""  # by which the folder was read

began = dict(
    threads=len(os.listdir("/proc/self/task")),
    descriptors=sorted(filter(None, (place(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2))),
    name=open("/proc/self/comm").read().strip(),
    input=os.readlink("/proc/self/fd/0"),
    folder=os.getcwd(),
    child_signal=signal.getsignal(signal.SIGCHLD).name,
)
drawn_here, known, say = drawn(), set(sys.modules), Control.say

def tell(self, op, **values):
    if op == "ready":
        say(self, "told", began=began, drawn=drawn_here, late=sorted(set(sys.modules) - known))
    say(self, op, **values)

Control.say = tell
sys.exit(run_worker(Settings.from_environment(os.environ), listener, control, number, Lending(lending, number)))
"""


class Forks:
    """A fork server whose workers tell what they have, and the launcher's end of it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.told: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0)
        self._lending = Lending.make(2)
        program = (sys.executable, "-c", PROGRAM)
        self.server = ForkServer(program, self._listener, self._lending, environment, self._hear, self.lines.append)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()
        self._listener.close()
        os.close(self._lending)

    @property
    def process(self) -> psutil.Process | None:
        """The fork server, when there is one."""
        children = psutil.Process().children()
        return next((each for each in children if "_fork_server" in _command(each)), None)

    async def code_of(self, number: int) -> int | None:
        """Return how a worker of a number ends by itself."""
        worker = await self.server.fork(number)
        async with asyncio.timeout(PATIENCE):
            return await worker.wait()

    async def _hear(self, message: dict[str, Any]) -> dict[str, Any]:
        self.told.append(message)
        return {}


@pytest.fixture
async def forks(database_url: str, redis: Server, data_dir: Path) -> AsyncIterator[Forks]:
    """Return one that has not started yet, for workers on the stores of the run."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("GATEWATCH_", "OTEL_"))},
        "DATABASE_URL": database_url,
        "REDIS_URL": redis.url,
        "GATEWATCH_DATA_DIR": str(data_dir),
        "GATEWATCH_SECRET": "s" * 43,
        "GATEWATCH_WORKERS": "2",
    }
    async with Forks(environment) as forks:
        yield forks


async def test_workers_have_all_that_they_need_and_nothing_of_each_other(forks: Forks) -> None:
    """What must differ in two workers does; each begins with its own descriptors alone, and has no more code to read."""
    workers = [await forks.server.fork(number) for number in (1, 2)]
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(worker.ready.wait() for worker in workers))
    one, two = forks.told
    assert [name for name in one["drawn"] if one["drawn"][name] == two["drawn"][name]] == []
    for told in forks.told:
        assert told["drawn"]["process_group"] == told["drawn"]["pid"]
        assert told["began"].pop("name") in {"gatewatch-w1", "gatewatch-w2"}
        assert told["began"] == {
            "threads": 1,
            "descriptors": ["/memfd", "socket", "socket", "socket"],
            "input": "/dev/null",
            "folder": str(Path.cwd()),
            "child_signal": "SIG_DFL",
        }
        assert told["late"] == []
    assert forks.process is not None
    assert os.getpgid(forks.process.pid) == forks.process.pid
    await asyncio.gather(*(worker.stop(PATIENCE, asyncio.Event()) for worker in workers))
    assert [await worker.wait() for worker in workers] == [0, 0]


async def test_an_end_is_known_with_and_without_a_fork_server(forks: Forks, wait_until: Until) -> None:
    """Exit codes and signals are told as they were; when the fork server is gone an end is still noticed, and a new one forks."""
    assert await forks.code_of(CODED) == CODED
    assert await forks.code_of(KILLED) == -signal.SIGKILL
    orphan = await forks.server.fork(1)
    old = forks.process
    assert old is not None
    old.kill()
    async with asyncio.timeout(PATIENCE):
        await orphan.ready.wait()
        # Nobody has asked for the new one.
        await asyncio.to_thread(wait_until, lambda: forks.process not in (None, old), PATIENCE)
        orphan.signal(signal.SIGKILL)
        assert await orphan.wait() is None
    assert await forks.code_of(CODED) == CODED
    assert [line.partition("(")[0] + line.partition(")")[2] for line in forks.lines] == [
        "the fork server  was ended by SIGKILL; another one is started, and the workers go on"
    ]


def test_workers_go_on_without_their_fork_server(running: Serve, wait_until: Until) -> None:
    """When it is killed another one is started, the workers serve on, one that dies is replaced, and nothing is left in the end."""
    old, workers = running.fork_server(), running.workers()
    old.kill()
    wait_until(lambda: (new := running.fork_server()) is not None and new != old, PATIENCE)
    assert all(worker.is_running() for worker in workers)
    wait_until(running.answers, PATIENCE)
    workers[0].kill()
    wait_until(lambda: len(running.workers()) == 1, PATIENCE)
    workers[1].kill()
    wait_until(lambda: len(running.workers()) == 2, PATIENCE)
    wait_until(running.answers, PATIENCE)
    assert running.stop() == 0
    assert running.left() == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
