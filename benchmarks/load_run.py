"""Our load generator as people use it: a scenario in a file, a process, a result."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import psutil

from benchmarks.instance import DRIVER_CORE, pinned
from loadgen.results import RESULT_FILE, STATUS_FILE, Result, RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PATIENCE = 120.0
"""Seconds that a run may take beyond its own length."""


class Load:
    """A run under way, on the driver's core."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder

    @property
    def senders(self) -> list[psutil.Process]:
        """Return the processes that send."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def wait_until_running(self) -> None:
        """Return when it sends; raise RuntimeError when it ends first, or a while passes."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.status() == "running":
                return
            time.sleep(0.02)
        raise RuntimeError("the load did not begin")

    def status(self) -> str:
        """Return what the run says that it does; nothing before it says anything."""
        try:
            return msgspec.json.decode((self.folder / STATUS_FILE).read_bytes(), type=RunStatus).state
        except FileNotFoundError:
            return ""

    def result(self, seconds: float) -> Result:
        """Wait for a run of so many seconds to end, and return what it wrote; raise RuntimeError when it wrote nothing."""
        code, written = self.process.wait(seconds + PATIENCE), self.folder / RESULT_FILE
        if not written.exists():
            raise RuntimeError(f"the load ended with code {code} and without a result")
        return msgspec.json.decode(written.read_bytes(), type=Result)


@functools.cache
def first() -> tuple[str, ...]:
    """Return what makes a program go before all others on its core, where we may: as a real-time process, or at least less nice.

    A queue whose server must wait for a core is another queue, and a sender that must wait for one is late.
    """
    before = ("chrt", "--rr", "1")
    with contextlib.suppress(FileNotFoundError):
        if not subprocess.run([*before, "true"], stderr=subprocess.DEVNULL, check=False).returncode:  # noqa: S603 - ours
            return before
    return ("nice", "-n", "-20") if os.geteuid() == 0 else ()


@contextlib.contextmanager
def load(text: str, url: str, folder: Path, *flags: str, through: Sequence[str] = ()) -> Iterator[Load]:
    """Run the scenario that ``text`` is, maybe ``through`` another program; what still runs at the block's end is ended."""
    folder.mkdir(parents=True)
    scenario = folder / "scenario.toml"
    scenario.write_text(text)
    command = [*through, sys.executable, "-m", "loadgen", str(scenario), "--target", url, "--data-dir", str(folder)]
    with pinned([*command, "--run-id", "run", *flags], {}, (DRIVER_CORE,)) as process:
        yield Load(process, folder / "runs" / "run")


def asking_hello(
    *, seconds: float, users: int, rate: float = 0.0, arrivals: str = "constant", timeout: float = 10
) -> str:
    """Return a scenario of one GET, at ``rate`` requests/s, or without one in a closed loop that never thinks."""
    shape = f'rate_per_minute = {rate * 60:g}\narrivals = "{arrivals}"' if rate else 'shape = "closed"'
    think = "" if rate else '[think]\nmean_s = 0\nspread = "none"\n'
    return (
        f'name = "hello"\nusers = {users}\nseconds = {seconds:g}\ntimeout_s = {timeout:g}\n{shape}\n'
        f'[request.hello]\npath = "/hello"\n[mix]\nhello = 1\n{think}'
    )
