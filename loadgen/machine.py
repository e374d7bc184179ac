"""What the generator itself got of the machine: CPU, waiting for a core, and time that other machines took."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from loadgen.results import Environment, ProcessUse

if TYPE_CHECKING:
    from loadgen.scenario import Scenario
    from observability.model import Slo

_SCHEDSTAT = Path("/proc/self/schedstat")
_STAT = Path("/proc/stat")
_STEAL = 7  # Of the numbers of the line "cpu" (proc(5)): user nice system idle iowait irq softirq steal.
_LIBRARIES = ("gatewatch", "uvloop", "httptools", "msgspec")


class Used(msgspec.Struct, frozen=True):
    """This process up to now: seconds of the clock, CPU seconds, seconds ready to run but waiting for a core, times it ran."""

    at: float
    cpu: float
    run_queue: float | None
    slices: int | None

    @classmethod
    def now(cls) -> Used:
        """Measure; without Linux's schedstat the waiting is not known."""
        try:
            _, waited, slices = _SCHEDSTAT.read_text().split()
        except (OSError, ValueError):
            return cls(time.perf_counter(), time.process_time(), None, None)
        return cls(time.perf_counter(), time.process_time(), int(waited) / 1e9, int(slices))

    def until(self, later: Used, number: int) -> ProcessUse:
        """Return what was used between two measurements."""
        unit = 1 if sys.platform == "darwin" else 1024
        return ProcessUse(
            number=number,
            pid=os.getpid(),
            seconds=later.at - self.at,
            cpu=later.cpu - self.cpu,
            run_queue=_between(self.run_queue, later.run_queue),
            slices=None if self.slices is None or later.slices is None else later.slices - self.slices,
            rss=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
        )


def stolen() -> tuple[int, int] | None:
    """Return ticks that the host gave to other machines, and all ticks, since boot; None where nobody tells."""
    try:
        with _STAT.open() as stat:
            ticks = [int(number) for number in stat.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    return (ticks[_STEAL], sum(ticks)) if len(ticks) > _STEAL else None


def steal(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    """Return the share of all time that was stolen between two looks."""
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])


def environment(scenario: Scenario, target: str, slo: Slo, stolen_share: float | None) -> Environment:
    """Return what a run was done with."""
    return Environment(
        target=target,
        seed=scenario.seed,
        scenario_hash=scenario.hash,
        processes=scenario.processes,
        connections=scenario.connections or scenario.most_users,
        versions=_versions(),
        slo=slo,
        machine=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpus=os.cpu_count() or 1,
        steal=stolen_share,
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue  # Used without being installed.
    return found


def _between(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
