"""Whether the load generator grows with what it has sent: ten million requests in a closed loop."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.load_nginx import nginx
from benchmarks.load_run import asking_hello, load
from benchmarks.memory import MEBIBYTE, slope
from benchmarks.table import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.results import Result

REQUESTS = int(os.environ.get("BENCH_LOAD_REQUESTS", "10000000"))
CONNECTIONS = 32
WARM_SHARE = 0.1
EVERY_SECONDS = 0.5
MOST_SECONDS = float(os.environ.get("BENCH_LOAD_SECONDS", "480"))
"""Past it the run ends with what it has; 10 million in it are 21,000 a second."""

MOST_GROWTH = 0.1
MILLION = 1_000_000


def measure() -> list[Row]:
    """Send until so many are answered, and watch the processes meanwhile."""
    with tempfile.TemporaryDirectory() as temporary, nginx(Path(temporary) / "nginx") as server:
        text = asking_hello(seconds=2 * MOST_SECONDS, users=CONNECTIONS)
        with load(text, server.url, Path(temporary) / "load") as ours:
            ours.wait_until_running()
            teller, [sender] = psutil.Process(ours.process.pid), ours.senders
            points: list[tuple[float, float]] = []
            told: list[tuple[float, float]] = []
            answered, latest = 0, time.monotonic() + MOST_SECONDS
            while answered < REQUESTS and time.monotonic() < latest:
                time.sleep(EVERY_SECONDS)
                answered = server.answered()
                if answered > REQUESTS * WARM_SHARE:
                    points.append((answered / MILLION, sender.memory_info().rss / MEBIBYTE))
                    told.append((time.monotonic(), teller.memory_info().rss / MEBIBYTE))
                if len(points) % 60 == 1:
                    print(f"  {answered / MILLION:.1f} million, {points[-1][1]:.2f} MiB", file=sys.stderr)
            ours.process.terminate()
            result = ours.result(0.0)
            return [row(points, slope(told).value, result, server.answered())]


def row(
    points: Sequence[tuple[float, float]], told: float, result: Result, answered: int, asked: int = REQUESTS
) -> Row:
    """Say what the samples come to: millions of requests answered, and mebibytes of the process that sends.

    ``told`` is by how many mebibytes a second the one that reports grows: it keeps each second, up to 1,200 of them. ``asked`` is
    how many requests there should be.
    """
    grown, status = slope(points), result.status
    within = abs(grown.value) <= max(grown.margin, MOST_GROWTH)
    return Row(
        what=f"Resident memory of the sending process over {status.completed:,} requests",
        conditions=f"{CONNECTIONS} connections, a closed loop, {status.rate:,.0f}/s",
        ours=(
            f"{grown.value:+.3f} ± {grown.margin:.3f} MiB a million; {points[0][1]:.1f} MiB at first, {points[-1][1]:.1f} at last; "
            f"the reporting process keeps {told * 1024:.1f} kB a second; {status.errors} errors, {status.completed - answered:+d} of the server's count"
        ),
        target=f"{asked:,} requests; no slope within noise, or at most {MOST_GROWTH:g} MiB a million",
        met=within and status.completed == answered >= asked,
        figures={
            "mebibytes_per_million": grown.value,
            "margin": grown.margin,
            "kibibytes_told_per_second": told * 1024,
            "first_mebibytes": points[0][1],
            "last_mebibytes": points[-1][1],
            "requests": status.completed,
            "requests_per_second": status.rate,
        },
    )
