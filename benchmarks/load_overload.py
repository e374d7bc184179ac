"""Whether the load generator notices that it did not get the machine it needs: such a run must be INVALID, whatever it measured.

All runs, and what starves them, go before whatever else is on the core, so that a busy machine is no fault that nobody planted.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.instance import DRIVER_CORE, pinned
from benchmarks.load_nginx import nginx
from benchmarks.load_run import asking_hello, first, load
from benchmarks.table import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.load_run import Load
    from loadgen.results import Result

SECONDS = 8.0
RATE = 2000.0
CONNECTIONS = 32
FROZEN_SECONDS = 0.5
RIVALS_FOR_THE_CORE = 3
MORE_THAN_ONE_CORE_CAN = 90_000.0


def measure() -> list[Row]:
    """Plant each fault in a run of its own."""
    return [
        row("left alone", _run(RATE, lambda _: None), invalid=False),
        row(f"stopped (SIGSTOP) for {FROZEN_SECONDS:g} s in the middle", _run(RATE, _freeze), invalid=True),
        row(f"{RIVALS_FOR_THE_CORE} busy loops on its core", _run(RATE, _crowd), invalid=True),
        row(
            f"asked for {MORE_THAN_ONE_CORE_CAN:,.0f} requests/s",
            _run(MORE_THAN_ONE_CORE_CAN, lambda _: None),
            invalid=True,
        ),
    ]


def _run(rate: float, fault: Callable[[Load], None]) -> Result:
    with tempfile.TemporaryDirectory() as temporary, nginx(Path(temporary) / "nginx") as server:
        text = asking_hello(seconds=SECONDS, users=CONNECTIONS, rate=rate, timeout=5)
        with load(text, server.url, Path(temporary) / "load", through=first()) as ours:
            ours.wait_until_running()
            time.sleep(SECONDS / 4)
            fault(ours)
            return ours.result(SECONDS)


def _freeze(ours: Load) -> None:
    for sender in ours.senders:
        sender.suspend()
    time.sleep(FROZEN_SECONDS)
    for sender in ours.senders:
        sender.resume()


def _crowd(ours: Load) -> None:
    """Compete for the core until the run is over."""
    with contextlib.ExitStack() as stack:
        for _ in range(RIVALS_FOR_THE_CORE):
            stack.enter_context(pinned([*first(), sys.executable, "-c", "while True: pass"], {}, (DRIVER_CORE,)))
        ours.process.wait(SECONDS * 10)


def row(how: str, result: Result, *, invalid: bool) -> Row:
    """Say what the run said of itself, and whether it should have."""
    status = result.status
    said = f"{status.validity}: {'; '.join(result.invalid)}" if result.invalid else str(status.validity)
    lag = result.lag.quantile(0.99) or 0.0
    return Row(
        what=f"What a load run says of itself, {how}",
        conditions=f"{status.planned / status.seconds:,.0f} requests/s, {CONNECTIONS} connections, {SECONDS:g} s",
        ours=f"{said} (sent late by p99 {lag * 1000:.2f} ms)",
        target="INVALID, with a reason" if invalid else "VALID",
        met=(status.validity == "INVALID" and bool(result.invalid)) == invalid,
        figures={"lag_p99_milliseconds": lag * 1000, "completed": status.completed, "planned": status.planned},
    )
