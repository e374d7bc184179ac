"""CPU that load generators need for a request, everything recorded, over kept connections to nginx.

Both sides have a core each. CPU is read from the kernel, of the generator and all its processes, while it runs steadily; requests are
what nginx has counted in between. So neither starting up nor what a generator says of itself comes into it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec
import psutil

from benchmarks.driver import PAIRS, SECONDS, Cost
from benchmarks.instance import DRIVER_CORE, pinned
from benchmarks.load_nginx import nginx
from benchmarks.load_rivals import NAMES, RIVALS, Asked
from benchmarks.load_run import asking_hello, load
from benchmarks.table import Row, paired

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
        fast = _in_turn(server, Path(temporary), 0.0, tuple(RIVALS))
        quick = _in_turn(server, Path(temporary), QUICK_RATE, ())
        steady = _in_turn(server, Path(temporary), RATE, ("k6", "Locust", "hey"))
    return [
        *rows("as fast as it can", fast, TARGET, LEADS),
        *rows(f"at {QUICK_RATE:,.0f} requests/s", quick, TARGET, {}),
        *rows(f"at {RATE:,.0f} requests/s", steady, None, {}),
    ]


def _in_turn(server: Nginx, folder: Path, rate: float, rivals: Sequence[str]) -> dict[str, list[Cost]]:
    """Measure ours and each rival in every round."""
    asked = Asked(f"{server.url}/hello", CONNECTIONS, WARM_SECONDS + SECONDS + 30, rate)
    costs: dict[str, list[Cost]] = {name: [] for name in ("", *rivals)}
    for number in range(PAIRS):
        print(f"  round {number + 1} of {PAIRS}", file=sys.stderr)
        text = asking_hello(seconds=asked.seconds, users=CONNECTIONS, rate=rate)
        with load(text, server.url, folder / f"{rate:g}-{number}") as ours:
            ours.wait_until_running()
            costs[""].append(_cost(server, ours.process.pid))
        for name in rivals:
            with pinned(RIVALS[name](asked), {}, (DRIVER_CORE,)) as process:
                costs[name].append(_cost(server, process.pid))
    return costs


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


def rows(how: str, costs: dict[str, list[Cost]], at_most: float | None, leads: dict[str, float]) -> list[Row]:
    """Say how ours, which is nameless, compares with each, and whether it needs little enough for itself."""
    ours = costs[""]
    compared: Callable[[str], Row] = lambda name: paired(  # noqa: E731 - one line of a table
        f"CPU of the load generator a request, {how}", NAMES[name], CONNECTIONS, ours, costs[name], leads.get(name)
    )
    table = [compared(name) for name in costs if name]
    if at_most is None:
        return table
    needed = median(cost.cpu for cost in ours)
    said = msgspec.structs.replace(
        paired(f"CPU of the load generator a request, {how}", "", CONNECTIONS, ours, ours),
        theirs="",
        ratio=None,
        lowest=None,
        highest=None,
        target=f"at most {at_most * 1e6:g} us",
        met=needed <= at_most,
    )
    return [said, *table]
