"""Who uses this machine's cores: the service, PostgreSQL, Redis, the generator, and others. Only where the service runs here."""

from __future__ import annotations

import ipaddress
import os
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable

GENERATOR, SERVICE, POSTGRES, REDIS, OTHERS = "the generator", "the service", "PostgreSQL", "Redis", "others"
_STORES = {"postgres": POSTGRES, "redis": REDIS, "valkey": REDIS, "falkordb": REDIS}


class ProcessShare(msgspec.Struct, frozen=True):
    """Cores that one process used on average; ``main`` is its first thread alone, on which an event loop runs."""

    group: str
    pid: int
    cores: float
    main: float


class MachineUse(msgspec.Struct, frozen=True):
    """What was used of a machine with so many cores; ``cores`` counts what nobody in ``processes`` explains, too."""

    cpus: int
    cores: float
    processes: tuple[ProcessShare, ...]

    def of(self, group: str) -> float:
        """Return how many cores a group used."""
        return sum(each.cores for each in self.processes if each.group == group)


class Look(NamedTuple):
    """CPU seconds up to an instant: of the machine, and of each process by pid and when it began."""

    at: float
    busy: float
    processes: dict[tuple[int, float], tuple[str, float, float]]


def is_here(host: str) -> bool:
    """Return whether a host is this machine, as far as its name tells."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def look(port: int) -> Look:
    """Look at every process that may be looked at; the service is who listens on this port, and its children."""
    groups = _groups(port)
    found = {}
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                times = process.cpu_times()
                key = (process.pid, process.create_time())
                group = groups.get(process.pid) or _store(process.name()) or OTHERS
            main = _main_thread(process) if group in {SERVICE, REDIS} else 0.0
        except psutil.Error:
            continue  # It has ended, or is none of our business.
        found[key] = (group, times.user + times.system, main)
    machine = psutil.cpu_times()
    idle = machine.idle + getattr(machine, "iowait", 0.0)
    return Look(time.perf_counter(), sum(machine) - idle - getattr(machine, "guest", 0.0), found)


def between(before: Look, after: Look) -> MachineUse:
    """Return what was used between two looks; a process that began in between counts from its beginning."""
    seconds = max(after.at - before.at, 1e-9)
    nothing = ("", 0.0, 0.0)
    shares = []
    for key, (group, cpu, main) in after.processes.items():
        _, cpu_before, main_before = before.processes.get(key, nothing)
        shares.append(ProcessShare(group, key[0], (cpu - cpu_before) / seconds, (main - main_before) / seconds))
    busiest = sorted((each for each in shares if each.cores > 0.005), key=lambda each: -each.cores)  # noqa: PLR2004 - half a percent of a core is nothing
    return MachineUse(psutil.cpu_count() or 1, (after.busy - before.busy) / seconds, tuple(busiest))


def _groups(port: int) -> dict[int, str]:
    """Return which processes are ours and which are the service's. A store that the service started is itself."""
    groups: dict[int, str] = {}
    for pid in _listeners(port):
        groups |= dict.fromkeys(_family(pid), SERVICE)
    groups |= dict.fromkeys(_family(os.getpid()), GENERATOR)
    return groups


def _listeners(port: int) -> set[int]:
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return set()
    return {
        each.pid
        for each in connections
        if each.pid and each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
    }


def _family(pid: int) -> Iterable[int]:
    try:
        members = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        return [member.pid for member in members if not _store(member.name())]
    except psutil.Error:
        return [pid]


def _store(name: str) -> str:
    return next((group for start, group in _STORES.items() if name.startswith(start)), "")


def _main_thread(process: psutil.Process) -> float:
    return next((each.user_time + each.system_time for each in process.threads() if each.id == process.pid), 0.0)
