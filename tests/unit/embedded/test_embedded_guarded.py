"""Claims about guards, made with small programs in the place of servers."""

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from app.embedded import EmbeddedError
from app.embedded import guard as guard_module
from app.embedded.guarded import Guarded, Order

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""


def _python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def _order(code: str, log: Path | None = None) -> Order:
    return Order(label="test", command=_python(code), stops=(("SIGTERM", 0.2),), log=log)


def _until_logged(log: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_program_that_ignores_its_signal_is_killed(tmp_path: Path) -> None:
    """A program that does not stop when asked is killed when its time is over."""
    program = Guarded(_order(STUBBORN, tmp_path / "log"))
    _until_logged(tmp_path / "log", "up")
    program.stop(5)
    assert program.ended
    assert program.exit_code == -signal.SIGKILL


def test_program_ends_with_its_killed_guard() -> None:
    """A guard that is SIGKILLed takes its program along."""
    program = Guarded(_order("import time; time.sleep(60)"))
    running = psutil.Process(program.pid)
    os.kill(program._guard.pid, signal.SIGKILL)
    running.wait(30)
    assert program.wait(30)


def test_last_words_come_back() -> None:
    """What a program said before it failed is known to its starter."""
    program = Guarded(_order("print('no disk'); raise SystemExit(3)"))
    assert program.wait(30)
    assert program.exit_code == 3
    assert program.said == ("no disk",)


def test_missing_program_is_an_error() -> None:
    """A program that is not there is told by name."""
    with pytest.raises(EmbeddedError, match=r"test cannot be started: .*nowhere"):
        Guarded(Order(label="test", command=["/nowhere"], stops=(("SIGTERM", 0.2),)))


def test_log_is_bounded(tmp_path: Path) -> None:
    """A log that reached its limit is put aside, and what was put aside before is gone."""
    log = guard_module.Log(str(tmp_path / "log"), 100)
    for number in range(100):
        log.add(b"line %04d\n" % number)
    log.close()
    assert {path.name for path in tmp_path.iterdir()} == {"log", "log.1"}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 220


def test_log_waits_for_its_folder(tmp_path: Path) -> None:
    """What a program says before it has made the folder of its log is found there afterwards."""
    log = guard_module.Log(str(tmp_path / "run" / "log"), 1000)
    log.add(b"first\n")
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    log.add(b"second\n")
    log.close()
    assert (tmp_path / "run" / "log").read_text() == "first\nsecond\n"


def test_failed_program_has_a_log_all_the_same(tmp_path: Path) -> None:
    """The last words of a program that failed before it made its folder are kept."""
    log = guard_module.Log(str(tmp_path / "run" / "log"), 1000)
    log.add(b"refused\n")
    log.close()
    assert (tmp_path / "run" / "log").read_text() == "refused\n"
