"""What ran out: pure judgement of what was seen while a service could no longer keep up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from loadgen.durations import duration
from loadgen.neighbours import GENERATOR, OTHERS, POSTGRES, REDIS, SERVICE, MachineUse
from loadgen.service_figures import ServiceSample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadgen.service_figures import Figures

FULL = 0.9
"""Share of what there is that counts as all of it: an average over seconds never shows the last tenth."""

HASH_WAIT = 0.05
"""Seconds that a password may wait to be hashed before hashing counts as what is short."""

LOOP_LAG = 0.01
"""Seconds by which an event loop may run late on average."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen over some seconds of load; what could not be seen is empty.

    ``refused`` counts answers of 429, ``generator`` says why the generator itself could not keep up, ``samples`` are of the
    service and of this time alone.
    """

    refused: int = 0
    generator: tuple[str, ...] = ()
    machine: MachineUse | None = None
    samples: tuple[ServiceSample, ...] = ()


class Shortage(msgspec.Struct, frozen=True):
    """Something of which there was no more: its name, and what was seen."""

    what: str
    says: str


def shortages(evidence: Evidence) -> tuple[Shortage, ...]:
    """Return what ran out, causes before what follows from them."""
    return tuple(_all(evidence))


def _all(evidence: Evidence) -> Iterator[Shortage]:
    if evidence.generator:
        yield Shortage("the generator", "; ".join(evidence.generator))
    if evidence.refused:
        yield Shortage("rate limits", f"the service refused {evidence.refused:,} requests with 429")
    if evidence.machine:
        yield from _cores(evidence.machine)
    yield from _service(evidence.samples, threads_seen=bool(evidence.machine and evidence.machine.of(SERVICE)))


def _cores(machine: MachineUse) -> Iterator[Shortage]:
    if machine.cores >= FULL * machine.cpus:
        parts = [(machine.of(group), group) for group in (SERVICE, POSTGRES, REDIS, GENERATOR, OTHERS)]
        told = ", ".join(f"{group} {cores:.2f}" for cores, group in sorted(parts, reverse=True) if cores >= 0.005)  # noqa: PLR2004 - what rounds to 0.00 says nothing
        yield Shortage("CPU of the machine", f"{machine.cores:.2f} of {machine.cpus} cores: {told}")
    for each in machine.processes:
        if each.main < FULL:
            continue
        if each.group == SERVICE:
            yield Shortage(
                "an event loop", f"process {each.pid} of the service: {each.main:.0%} of a core in one thread"
            )
        elif each.group == REDIS:
            yield Shortage("Redis", f"its one thread used {each.main:.0%} of a core")


def _service(samples: Sequence[ServiceSample], *, threads_seen: bool) -> Iterator[Shortage]:
    if not samples:
        return
    seconds = samples[-1].at - samples[0].at
    grown = [_Window([sample.workers.get(worker, {}) for sample in samples], seconds) for worker in samples[-1].workers]
    busiest = max((each.grown("cpu") / seconds for each in grown), default=0.0) if seconds else 0.0
    if busiest >= FULL and not threads_seen:
        yield Shortage("CPU of a worker", f"one process of the service used {busiest:.2f} cores")
    yield from _pool(grown)
    yield from _hashing(grown)
    late = max((each.mean("lag_seconds", "lags") for each in grown), default=0.0)
    if late >= LOOP_LAG:
        yield Shortage("time of an event loop", f"it ran {duration(late)} late on average")


class _Window:
    """One process over the samples."""

    def __init__(self, figures: list[Figures], seconds: float) -> None:
        self.figures = [each for each in figures if each]
        self.seconds = seconds

    def grown(self, counter: str) -> float:
        """Return how much a figure that only grows has grown."""
        return max(0.0, self.figures[-1].get(counter, 0.0) - self.figures[0].get(counter, 0.0))

    def mean(self, total: str, count: str) -> float:
        """Return the mean of what was timed in between."""
        return self.grown(total) / self.grown(count) if self.grown(count) else 0.0

    def most(self, level: str) -> float:
        return max(each.get(level, 0.0) for each in self.figures)

    def share_of_looks(self, level: str) -> float:
        """Return at how many of the looks a level was above nothing."""
        return sum(each.get(level, 0.0) > 0 for each in self.figures) / len(self.figures)


def _pool(workers: Sequence[_Window]) -> Iterator[Shortage]:
    timeouts = sum(each.grown("pool_timeouts") for each in workers)
    waiting = max((each.share_of_looks("pool_waiting") for each in workers), default=0.0)
    if timeouts or waiting > 0.5:  # noqa: PLR2004 - more often than not
        most, size = max((each.most("pool_waiting"), each.most("pool_size")) for each in workers)
        told = f"up to {most:.0f} requests waited for the {size:.0f} connections of a worker"
        yield Shortage("connections to PostgreSQL", told + (f", {timeouts:,.0f} in vain" if timeouts else ""))


def _hashing(workers: Sequence[_Window]) -> Iterator[Shortage]:
    refused = sum(each.grown("hash_refused") for each in workers)
    waited = max((each.mean("hash_wait_seconds", "hash_waits") for each in workers), default=0.0)
    if refused or waited >= HASH_WAIT:
        told = f"a password waited {duration(waited)} to be hashed on average"
        yield Shortage("password hashing", told + (f", and {refused:,.0f} were refused" if refused else ""))
