"""Claims about a whole instance: how it stops, what it survives."""

from __future__ import annotations

import contextlib
import signal
import socket
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Until = Callable[[Callable[[], bool], float], None]
    Serve = Any

PATIENCE = 120.0
"""Seconds in which what is not promised by a moment must have happened, however busy the machine is."""

SLACK = 3
"""How many times as long as was promised something may take on a busy machine."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_leaves_nothing(running: Serve, wait_until: Until, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end an instance within 10 s with exit code 0; no process, socket or lock is left."""
    wait_until(running.answers, PATIENCE)
    assert len(running.descendants()) >= 6
    running.launcher.send_signal(number)
    assert running.ended(10 * SLACK) == 0
    assert running.left() == []
    assert not (running.folder / "lock").exists()
    assert not (running.folder / "instance.json").exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", running.port)) != 0


def test_second_interrupt_hastens(running: Serve, wait_until: Until) -> None:
    """A second Ctrl-C does not wait for a worker that does not drain."""
    frozen = running.workers()[0]
    frozen.suspend()
    running.launcher.send_signal(signal.SIGINT)
    wait_until(lambda: len(running.workers()) <= 1, PATIENCE)
    running.launcher.send_signal(signal.SIGINT)
    wait_until(lambda: not running.workers(), 4)  # by itself it would be given 5.5 s
    assert running.ended(PATIENCE) == 0
    assert running.left() == []


def test_frozen_worker_does_not_hold_up_the_end(running: Serve) -> None:
    """An instance ends within 10 s even when a worker does not react at all."""
    running.workers()[0].suspend()
    running.launcher.send_signal(signal.SIGTERM)
    assert running.ended(10 * SLACK) == 0
    assert running.left() == []


def test_data_survives_a_restart(running: Serve, wait_until: Until) -> None:
    """An account is still there, and the console's token the same, after a stop and a start."""
    token = running.instance.console_token
    assert running.stop() == 0
    running.start()
    wait_until(lambda: running.login() == 200, PATIENCE)
    assert running.instance.console_token == token


def test_killed_launcher_takes_all_along_and_is_recovered_from(running: Serve, wait_until: Until) -> None:
    """SIGKILL of the launcher ends its children within 5 s; the next start serves the same data."""
    running.descendants()
    running.launcher.kill()
    running.launcher.communicate()
    wait_until(lambda: not running.left(), 5 * SLACK)
    running.start()
    wait_until(lambda: running.login() == 200, PATIENCE)


def test_next_start_need_not_wait(running: Serve, wait_until: Until) -> None:
    """A start right after a SIGKILL, while the old processes still end, becomes ready on the same port."""
    running.launcher.kill()
    running.launcher.communicate()
    running.start()
    wait_until(running.answers, PATIENCE)


def test_death_of_everything_is_recovered_from(running: Serve, wait_until: Until) -> None:
    """After a SIGKILL of every process at once, PostgreSQL's with its pid file among them, all data is there."""
    everything = [psutil.Process(running.launcher.pid), *running.descendants()]
    for hurt in (psutil.Process.suspend, psutil.Process.kill):  # none may end by itself before its turn
        for process in everything:
            with contextlib.suppress(psutil.NoSuchProcess):  # PostgreSQL has some that come and go
                hurt(process)
    running.launcher.communicate()
    running.start()
    wait_until(lambda: running.login() == 200, PATIENCE)


def test_postgres_whose_guard_died_too_is_stopped_first(running: Serve, wait_until: Until) -> None:
    """A frozen PostgreSQL that nobody guards any more does not keep the next start from its data."""
    postgres = running.server("postgres")
    postgres.suspend()
    postgres.parent().kill()
    running.launcher.kill()
    running.launcher.communicate()
    running.start()
    wait_until(running.answers, PATIENCE)
    assert not postgres.is_running() or postgres.status() == psutil.STATUS_ZOMBIE


def test_killed_worker_is_replaced(running: Serve, wait_until: Until) -> None:
    """A SIGKILLed worker has a successor within 2 s, and requests are answered meanwhile."""
    victim = running.workers()[0]
    victim.kill()
    wait_until(lambda: len([worker for worker in running.workers() if worker.pid != victim.pid]) == 2, 2 * SLACK)
    wait_until(running.answers, PATIENCE)


def test_frozen_worker_is_replaced(running: Serve, wait_until: Until) -> None:
    """Who waits on a connection of a stopped worker learns soon that it is gone; a successor serves within 2 s."""
    victim = running.workers()[0]
    victim.suspend()
    wait_until(lambda: victim not in running.workers() and len(running.workers()) == 2, 2 * SLACK)
    wait_until(running.answers, PATIENCE)


def test_no_worker_left_is_no_end(running: Serve, wait_until: Until) -> None:
    """When all workers die at once, the instance serves again."""
    for worker in running.workers():
        worker.kill()
    wait_until(running.answers, PATIENCE)


@pytest.mark.parametrize("program", ["postgres", "redis"])
def test_dead_server_comes_back_where_it_was(running: Serve, wait_until: Until, program: str) -> None:
    """A SIGKILLed embedded server is started again on its port with its data, and the workers find it."""
    old = running.server(program)
    old.kill()
    wait_until(lambda: (new := running.server_now(program)) is not None and new.pid != old.pid, PATIENCE)
    wait_until(lambda: running.answers() and running.login() == 200, PATIENCE)
