"""CPU that load generators need for a request, everything recorded, over kept connections to nginx.

Both sides have a core each. CPU is read from the kernel, of the generator and all its processes, while it runs steadily; requests are
what nginx has counted in between. So neither starting up nor what a generator says of itself comes into it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil

from benchmarks.driver import PAIRS, SECONDS, Cost
from benchmarks.instance import DRIVER_CORE, pinned
from benchmarks.load_nginx import nginx
from benchmarks.load_rivals import NAMES, RIVALS, Asked
from benchmarks.load_run import asking_hello, load
from benchmarks.rivals import RivalMissing
from benchmarks.table import Row, paired

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.load_nginx import Nginx

CONNECTIONS = 32
RATE = float(os.environ.get("BENCH_LOAD_RATE", "2000"))
"""Requests/s that even the slowest bears."""

QUICK_RATE = 20_000.0
"""Requests/s in an open loop that keep one core busy without being more than it can send."""

WARM_SECONDS = 3.0
TARGET = 25e-6
LEADS = {"k6": 1 / 5}
"""What part of a rival's CPU is aimed at, where something is."""


def measure() -> list[Row]:
    """Measure all as fast as they can, ours at a rate that none but wrk reaches, and those that keep a rate at one rate."""
    with tempfile.TemporaryDirectory() as temporary, nginx(Path(temporary) / "nginx") as server:
        measured = partial(_in_turn, server, Path(temporary))
        return [
            *measured("as fast as it can", 0.0, tuple(RIVALS), TARGET),
            *measured(f"at {QUICK_RATE:,.0f} requests/s", QUICK_RATE, (), TARGET),
            *measured(f"at {RATE:,.0f} requests/s", RATE, ("k6", "Locust", "hey"), None),
        ]


def _in_turn(
    server: Nginx, folder: Path, how: str, rate: float, names: Sequence[str], at_most: float | None
) -> list[Row]:
    """Measure ours and each rival in every round, and say what it came to."""
    asked = Asked(f"{server.url}/hello", CONNECTIONS, WARM_SECONDS + SECONDS + 30, rate)
    commands, missing = _commands(asked, names)
    costs: dict[str, list[Cost]] = {name: [] for name in ("", *commands)}
    for number in range(PAIRS):
        print(f"  {how}, round {number + 1} of {PAIRS}", file=sys.stderr)
        text = asking_hello(seconds=asked.seconds, users=CONNECTIONS, rate=rate)
        with load(text, server.url, folder / f"{rate:g}-{number}") as ours:
            ours.wait_until_running()
            costs[""].append(_cost(server, ours.process.pid))
        for name, command in commands.items():
            with pinned(command, {}, (DRIVER_CORE,)) as process:
                costs[name].append(_cost(server, process.pid))
    return [*rows(how, costs, at_most), *(_absent(how, name, why) for name, why in missing.items())]


def _commands(asked: Asked, names: Sequence[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return how each rival is started, and why those that are not here are not."""
    commands, missing = {}, {}
    for name in names:
        try:
            commands[name] = RIVALS[name](asked)
        except RivalMissing as error:
            missing[name] = str(error)
    return commands, missing


def _absent(how: str, name: str, why: str) -> Row:
    return Row(what=_what(how), rival=NAMES[name], theirs=f"not measured: {why}")


def _what(how: str) -> str:
    return f"CPU of the load generator a request, {how}"


def _cost(server: Nginx, pid: int) -> Cost:
    time.sleep(WARM_SECONDS)
    parent = psutil.Process(pid)
    family = [parent, *parent.children(recursive=True)]
    before = _look(server, family)
    time.sleep(SECONDS)
    return between(before, _look(server, family))


def _look(server: Nginx, family: Sequence[psutil.Process]) -> tuple[int, float, float]:
    answered = server.answered()
    times = [process.cpu_times() for process in family]
    return answered, sum(each.user + each.system for each in times), time.perf_counter()


def between(before: tuple[int, float, float], after: tuple[int, float, float]) -> Cost:
    """Return what lies between two looks at requests answered, CPU seconds and the clock."""
    requests = after[0] - before[0]
    seconds = after[2] - before[2]
    if requests <= 0:
        raise RuntimeError("nothing was sent")
    cpu = after[1] - before[1]
    return Cost(requests=requests, rate=requests / seconds, cpu=cpu / requests, driver=cpu / seconds)


def rows(how: str, costs: dict[str, list[Cost]], at_most: float | None) -> list[Row]:
    """Say how ours, which is nameless, compares with each, and whether it needs little enough for itself."""
    ours = costs[""]
    lead = LEADS if at_most is not None else {}
    table = [
        paired(_what(how), NAMES[name], CONNECTIONS, ours, theirs, lead.get(name))
        for name, theirs in costs.items()
        if name
    ]
    if at_most is None:
        return table
    needed, rate = median(cost.cpu for cost in ours) * 1e6, median(cost.rate for cost in ours)
    alone = Row(
        what=_what(how),
        conditions=f"{CONNECTIONS} connections",
        ours=f"{needed:.0f} us CPU, {rate:,.0f}/s",
        target=f"at most {at_most * 1e6:g} us",
        met=needed <= at_most * 1e6,
        figures={"cpu_microseconds": needed, "requests_per_second": rate},
    )
    return [alone, *table]
