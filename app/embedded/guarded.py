"""The starter's side of a guard: start a program under one, watch it, stop it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.embedded.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.embedded.account import Account

GUARD = Path(__file__).with_name("guard.py")
LOG_LIMIT = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a guard is told to run, and how to end it: signals by name, each with the seconds it may take."""

    label: str
    command: Sequence[str]
    stops: Sequence[tuple[str, float]]
    stdin: str = ""
    account: Account | None = None
    log: Path | None = None
    cwd: Path = Path("/")
    env: Mapping[str, str] | None = None

    def encoded(self) -> bytes:
        """Return the line that the guard reads; it may carry passwords, which is why it is no argument."""
        return (
            json.dumps(
                {
                    "command": list(self.command),
                    "stops": [list(stop) for stop in self.stops],
                    "stdin": self.stdin,
                    "uid": self.account.uid if self.account else None,
                    "gid": self.account.gid if self.account else None,
                    "log": str(self.log) if self.log else None,
                    "log_limit": LOG_LIMIT,
                    "cwd": str(self.cwd),
                    "env": dict(os.environ if self.env is None else self.env),
                }
            ).encode()
            + b"\n"
        )


class Guarded:
    """A program running under a guard: it ends when this process does, when it is stopped, or by itself."""

    def __init__(self, order: Order) -> None:
        self._label = order.label
        self._ended = threading.Event()
        self._hold = threading.Lock()
        self.exit_code: int | None = None
        self.said: tuple[str, ...] = ()
        self._guard = subprocess.Popen(  # noqa: S603 - our own guard; the label only tells a reader of ps what it guards
            [sys.executable, "-I", "-S", str(GUARD), order.label],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        self._write(order.encoded())
        self.pid = self._started()
        threading.Thread(target=self._watch, name=f"watch {order.label}", daemon=True).start()

    @property
    def ended(self) -> bool:
        """Whether the program has ended."""
        return self._ended.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the program has ended, at most `timeout` seconds; return whether it has."""
        return self._ended.wait(timeout)

    def signal(self, number: signal.Signals) -> None:
        """Pass a signal on through the guard, which knows whether the process is still that program."""
        with contextlib.suppress(OSError, ValueError):
            self._write(number.name.encode() + b"\n")

    def stop(self, timeout: float = 8) -> None:
        """Have the guard stop the program; past `timeout` seconds kill both."""
        self._let_go()
        if self._ended.wait(timeout):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._guard.kill()
        self._ended.wait(1)

    def _started(self) -> int:
        report = self._report()
        if "pid" in report:
            return int(report["pid"])
        self._let_go()
        self._guard.wait()
        if self._guard.stdout is not None:
            self._guard.stdout.close()
        raise EmbeddedError(f"{self._label} cannot be started: {report.get('failed', 'its guard ended at once')}")

    def _watch(self) -> None:
        report = self._report()
        self.exit_code = report.get("exit")
        self.said = tuple(report.get("said", ()))
        self._guard.wait()
        self._let_go()
        if self._guard.stdout is not None:
            self._guard.stdout.close()
        self._ended.set()

    def _report(self) -> dict[str, Any]:
        line = b""
        while self._guard.stdout is not None and not line.endswith(b"\n"):
            more = self._guard.stdout.readline()
            if not more:
                return {}
            line += more
        report: dict[str, Any] = json.loads(line)
        return report

    def _write(self, line: bytes) -> None:
        with self._hold:
            if self._guard.stdin is not None:
                self._guard.stdin.write(line)

    def _let_go(self) -> None:
        with self._hold, contextlib.suppress(OSError):
            if self._guard.stdin is not None:
                self._guard.stdin.close()
