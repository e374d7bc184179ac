"""Whether one idle core is enough for ten thousand requests a second that leave when they should.

Idle it is for who goes before all others on it; what they took from the sender is told beside.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.load_nginx import nginx
from benchmarks.load_run import asking_hello, first, load
from benchmarks.table import Row

if TYPE_CHECKING:
    from loadgen.results import Result

RATE = 10_000
SECONDS = float(os.environ.get("BENCH_LOAD_STEADY_SECONDS", "30"))
CONNECTIONS = 64
SETTLED_SECONDS = 3.0
MOST_MISSED = 0.001
MOST_LAG = 0.001
MEBIBYTE = 1 << 20
MOST_GROWTH = 1.0


def measure() -> list[Row]:
    """Send at the rate to nginx, and watch the sender's memory meanwhile."""
    with tempfile.TemporaryDirectory() as temporary, nginx(Path(temporary) / "nginx") as server:
        text = asking_hello(seconds=SECONDS, users=CONNECTIONS, rate=RATE)
        with load(text, server.url, Path(temporary) / "load", through=first()) as ours:
            ours.wait_until_running()
            [sender] = ours.senders
            time.sleep(SETTLED_SECONDS)
            settled = last = sender.memory_info().rss
            with contextlib.suppress(psutil.NoSuchProcess):  # It may end while it is looked at.
                while ours.status() == "running":
                    last = sender.memory_info().rss
                    time.sleep(0.5)
            return [row(ours.result(SECONDS), (last - settled) / MEBIBYTE)]


def row(result: Result, grown: float) -> Row:
    """Say what a run came to, and by how many mebibytes the sender grew."""
    seconds = result.status.seconds
    sent = sum(moment.sent for moment in result.moments if moment.at < seconds)
    achieved, lag = sent / seconds, result.lag.quantile(0.99) or 0.0
    met = abs(achieved / RATE - 1) <= MOST_MISSED and lag < MOST_LAG and grown <= MOST_GROWTH
    waited = sum(process.run_queue or 0.0 for process in result.processes)
    return Row(
        what=f"Open loop at {RATE:,} requests/s from one core",
        conditions=f"{CONNECTIONS} connections, {seconds:.0f} s, before all others on its core",
        ours=(
            f"{achieved:,.1f}/s, sent late by p50 {(result.lag.quantile(0.5) or 0) * 1e6:.0f} us, p99 {lag * 1e6:.0f} us; "
            f"{result.cpu / seconds:.2f} cores, waited {waited / seconds:.2f} for one; memory {grown:+.2f} MiB; {result.status.validity}"
        ),
        target=f"within {MOST_MISSED:.1%}, late by p99 below {MOST_LAG * 1000:g} ms, at most {MOST_GROWTH:g} MiB more",
        met=met,
        figures={
            "requests_per_second": achieved,
            "lag_p99_microseconds": lag * 1e6,
            "cores": result.cpu / seconds,
            "waited_for_a_core": waited / seconds,
            "cpu_microseconds": result.cpu / max(1, result.status.completed) * 1e6,
            "grown_mebibytes": grown,
        },
    )
