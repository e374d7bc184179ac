"""The fork server: a process that has read a worker's code, and makes workers by forking when the launcher asks.

A fork costs milliseconds, reading the code most of a second of a core that the other workers need. All workers of a fork
server are of one version, whatever has changed on disk meanwhile. What a fork would copy and two workers must not share
is not there yet: no thread, no event loop, no connection; `random` and uuid_utils seed themselves anew.

The launcher, told ``{"ready": true}``, sends down a socket pair a worker's number and with it three descriptors: the
listening socket, the memory of `Lending`, and the worker's end of its own tie to the launcher. It is told ``{"pid": ...}``
or ``{"failed": ...}``, and ``{"ended": ..., "code": ...}`` of each worker in the end. The pair is a lifeline: at its end the fork server ends.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NamedTuple

from app.passwords import password_rule
from app.priority import quietly
from app.settings import Settings
from app.worker import run_worker

__all__ = ["Birth", "fork_workers", "run_worker"]

LATE = (
    "app.repositories.importing",
    "app.repositories.seeding",
    "app.storage.engine",
    "app.storage.models",
    "tomllib",
    "tortoise.backends.asyncpg",
    "tortoise.contrib.postgres.array_functions",
    "tortoise.contrib.postgres.json_functions",
    "tortoise.contrib.postgres.regex",
    "tortoise.contrib.postgres.search",
    "tortoise.migrations.schema_editor.asyncpg",
)
"""What a worker would else read when it starts."""

LONGEST_MESSAGE = 64
DESCRIPTORS = 3


class Birth(NamedTuple):
    """What a worker is given to begin with."""

    number: int
    listener: socket.socket
    lending: int
    control: socket.socket


def fork_workers(channel: socket.socket) -> Birth:
    """Fork a worker for each message, and return in it; the fork server itself ends here, with the channel."""
    quietly(_warm)
    wake, wakened = socket.socketpair()
    wakened.settimeout(0)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakened.fileno())
    try:
        return _forked_worker(channel, wake)
    except OSError:  # the launcher is gone, in the middle of a word
        sys.exit(0)
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for own in (channel, wake, wakened):
            own.close()


def _forked_worker(channel: socket.socket, wake: socket.socket) -> Birth:
    _tell(channel, ready=True)
    while True:
        ready = select.select([channel, wake], [], [])[0]
        if wake in ready:
            wake.recv(4096)
            _tell_ends(channel)
        if channel in ready:
            message, descriptors, _, _ = socket.recv_fds(channel, LONGEST_MESSAGE, DESCRIPTORS)
            if not message:
                sys.exit(0)
            if _forked(channel, descriptors):
                return _born(int(message), descriptors)


def _warm() -> None:
    for name in LATE:
        importlib.import_module(name)
    password_rule(Settings.from_environment(os.environ))  # keeps the list of common passwords
    gc.collect()
    gc.freeze()  # or the first collection of each worker would copy all the pages that they share


def _forked(channel: socket.socket, descriptors: list[int]) -> bool:
    """Fork, and return whether this is the child."""
    try:
        pid = os.fork()
    except OSError as error:
        _tell(channel, failed=f"cannot fork: {error.strerror}")
    else:
        if pid == 0:
            return True
        _tell(channel, pid=pid)
    for descriptor in descriptors:
        os.close(descriptor)
    return False


def _born(number: int, descriptors: list[int]) -> Birth:
    """Become a worker."""
    os.setpgid(0, 0)  # out of the way of a signal that is sent to the fork server's group
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(f"gatewatch-w{number}")  # its name in ps and top, on Linux
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - the function's way
    listener, lending, control = descriptors
    os.dup(control)  # stays open until the process has ended, which is what the channel's end then means
    return Birth(number, socket.socket(fileno=listener), lending, socket.socket(fileno=control))


def _tell_ends(channel: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _tell(channel, ended=ended[0], code=os.waitstatus_to_exitcode(ended[1]))


def _tell(channel: socket.socket, **what: Any) -> None:
    channel.sendall(json.dumps(what).encode() + b"\n")
