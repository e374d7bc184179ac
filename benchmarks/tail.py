"""How long the slowest of a thousand session checks takes while workers are replaced under load.

The rate is half of what two workers reached just before on the same core. A third of the way one worker is killed, and
after two thirds the other is told to end; the launcher replaces both. Requests that a killed worker takes with it count
as errors, and as no quicker than the timeout.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks.driver import drive
from benchmarks.instance import DRIVER_CORE, SERVER_CORE, Instance, gatewatch
from benchmarks.people import asking, of_ours
from benchmarks.table import Row
from observability.model import Distribution, Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = float(os.environ.get("BENCH_TAIL_SECONDS", "300"))
USERS = 64
TIMEOUT = 5
TARGET_MS = 20
WARM_SECONDS, CAPACITY_SECONDS = 2.0, 5.0
PREPARED_WITHIN = 120.0
SETTLING_SECONDS = 10
"""How long load goes on before it counts: each user's first check finds nothing cached, and all of them at once open the pools."""

_RUN = "tail"


class Block(msgspec.Struct):
    """What is read here of the requests that were intended within some seconds from ``at`` on."""

    at: int
    response: Distribution
    service: Distribution
    outcomes: dict[str, int]


class Endpoint(msgspec.Struct):
    """What is read here of a load run's endpoint."""

    blocks: list[Block]


class Result(msgspec.Struct):
    """What is read here of a load run's result."""

    endpoints: list[Endpoint]
    lag: Distribution


class Status(msgspec.Struct):
    """What is read here of a load run's status."""

    state: str


def measure() -> list[Row]:
    """Measure the capacity, then half of it for five minutes."""
    os.sched_setaffinity(0, {DRIVER_CORE})
    with (
        tempfile.TemporaryDirectory() as temporary,
        gatewatch(Path(temporary) / "data", (SERVER_CORE,), GATEWATCH_WORKERS="2") as ours,
    ):
        capacity = asyncio.run(_capacity(ours))
        return [row(capacity, _under_load(ours, capacity / 2, Path(temporary)))]


async def _capacity(ours: Instance) -> float:
    payloads = asking("/auth/check", await of_ours(ours, 1000))

    async def run(seconds: float) -> float:
        cost = await drive(ours.url, payloads, status=204, pid=ours.pid, connections=32, seconds=seconds)
        return cost.rate

    await run(WARM_SECONDS)
    return await run(CAPACITY_SECONDS)


def _under_load(ours: Instance, rate: float, folder: Path) -> Result:
    """Run the load generator, and end both workers meanwhile."""
    scenario = folder / "tail.toml"
    scenario.write_text(
        f'name = "tail"\nabout = "checks at a steady rate"\nusers = {USERS}\nrate_per_minute = {rate * 60:.0f}\n'
        f"seconds = {SETTLING_SECONDS + SECONDS:.0f}\ntimeout_s = {TIMEOUT}\nallowed_error_rate = 1.0\n[mix]\ncheck = 1\n"
    )
    command = [sys.executable, "-m", "loadgen", str(scenario), "--target", ours.url, "--data-dir", str(folder)]
    with subprocess.Popen(  # noqa: S603 - ourselves
        [*command, "--run-id", _RUN], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as load:
        try:
            _wait_until_running(load, folder / "runs" / _RUN / "status.json")
            time.sleep(SETTLING_SECONDS)
            for pid, how in zip(ours.pids, (signal.SIGKILL, signal.SIGTERM), strict=True):
                time.sleep(SECONDS / 3)
                os.kill(pid, how)
            load.wait(SECONDS)
        finally:
            load.kill()
    return msgspec.json.decode((folder / "runs" / _RUN / "result.json").read_bytes(), type=Result)


def _wait_until_running(load: subprocess.Popen[bytes], status: Path) -> None:
    deadline = time.monotonic() + PREPARED_WITHIN
    while time.monotonic() < deadline and load.poll() is None:
        if status.exists() and msgspec.json.decode(status.read_bytes(), type=Status).state == "running":
            return
        time.sleep(0.05)
    raise RuntimeError("the load did not begin")


def row(capacity: float, result: Result) -> Row:
    """Say what a run came to."""
    [check] = result.endpoints
    blocks = [block for block in check.blocks if block.at >= SETTLING_SECONDS]
    responses = Histogram.of(*(block.response for block in blocks))
    response = _milliseconds(responses, (0.5, 0.99, 0.999))
    answered = _milliseconds(Histogram.of(*(block.service for block in blocks)), (0.999,))[0]
    outcomes = sum((Counter(block.outcomes) for block in blocks), Counter())
    failures = {outcome: count for outcome, count in outcomes.items() if outcome != "ok"}
    requests, errors = responses.count, sum(failures.values())
    rate, lag = requests / SECONDS, _milliseconds(result.lag, (0.99,))[0]
    return Row(
        what=f"GET /auth/check at half its capacity for {SECONDS:.0f} s, two workers killed or ended meanwhile",
        conditions=f"{rate:,.0f} of {capacity:,.0f}/s, {USERS} connections",
        ours=f"p50 {response[0]:.1f} ms, p99 {response[1]:.1f} ms, p99.9 {response[2]:.1f} ms; {_told(failures)}; sent late by p99 {lag:.1f} ms",
        target=f"p99.9 at most {TARGET_MS} ms",
        met=response[2] <= TARGET_MS,
        figures={
            "p50_milliseconds": response[0],
            "p99_milliseconds": response[1],
            "p999_milliseconds": response[2],
            "p999_of_sent_and_answered_milliseconds": answered,
            "p99_generator_lag_milliseconds": lag,
            "requests": requests,
            "errors": errors,
            "requests_per_second": rate,
            "capacity_requests_per_second": capacity,
        },
    )


def _milliseconds(times: Distribution | Histogram, quantiles: Sequence[float]) -> list[float]:
    return [(times.quantile(q) or 0.0) * 1000 for q in quantiles]


def _told(failures: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in failures.items()) or "no errors"
