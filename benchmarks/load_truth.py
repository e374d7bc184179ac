"""Whether what load generators report is true: against servers of which it can be computed what clients must see.

A queue whose service times are known, and a server that stops for a second. Percentiles of ours are of response time, from
the intended time, out of its raw samples; those of the others are what they print.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.instance import SERVER_CORE, free_port, pinned, wait_for
from benchmarks.load_rivals import NAMES, Asked
from benchmarks.load_run import asking_hello, first, load
from benchmarks.load_theory import (
    interval,
    percentile,
    quantile_of_dm1,
    quantile_of_md1,
    quantile_of_mm1,
    quantile_of_stall,
)
from benchmarks.load_told import QUANTILES, beside, of_hey, of_k6, of_wrk
from benchmarks.table import Row
from loadgen.samples import read_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.load_theory import Spread
    from benchmarks.load_told import Told

SERVICE = 0.01
QUEUE_SECONDS = 60.0
QUEUE_CONNECTIONS = 100
LOOPBACK = 0.001
"""Seconds that the way there and back may add to what the queue takes, on a machine that has other things to do."""

STALL, STALL_SECONDS, STALL_RATE = 1.0, 10.0, 100.0
STALL_CONNECTIONS = 10
STALL_USERS = 200
STALL_SLACK = 0.02
"""Seconds: two requests' distance, for the step between neighbours and the second's place among them."""


class Case(NamedTuple):
    """A queue: how requests come, how long they take, and what its percentiles are."""

    name: str
    rate: float
    gaps: Spread
    service: Spread
    quantile: Callable[[float, float, float], float]


CASES = (
    Case("M/M/1", 50.0, "exponential", "exponential", quantile_of_mm1),
    Case("M/D/1", 60.0, "exponential", "fixed", quantile_of_md1),
    Case("D/M/1", 60.0, "fixed", "exponential", quantile_of_dm1),
)


def measure() -> list[Row]:
    """Measure each queue, and the stall."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        return [*(_queue(case, folder / case.service / case.gaps) for case in CASES), _stall(folder)]


def _queue(case: Case, folder: Path) -> Row:
    print(f"  {case.name}", file=sys.stderr)
    arrivals = "poisson" if case.gaps == "exponential" else "constant"
    with _server(case.service, SERVICE) as server:
        ours = _ours(server.url, folder, case.rate, QUEUE_SECONDS, QUEUE_CONNECTIONS, arrivals)
    theirs = None
    if case.gaps == "fixed":
        with _server(case.service, SERVICE) as again:
            theirs = beside(partial(of_k6, Asked(again.url, QUEUE_CONNECTIONS, QUEUE_SECONDS, case.rate), folder))
    return row_of_queue(case, ours, theirs, server.told)


def row_of_queue(case: Case, ours: Told, theirs: Told | None, late: float) -> Row:
    """Say whether what was measured lies where theory has 99 % of such runs, but for what the server itself was late."""
    requests = int(case.rate * QUEUE_SECONDS)
    spans = {q: interval(case.rate, SERVICE, case.gaps, case.service, requests, q) for q in QUANTILES}
    true = {q: case.quantile(case.rate, SERVICE, q) for q in QUANTILES}
    said = ", ".join(
        f"p{q * 100:g} {true[q] * 1000:.2f} ({spans[q][0] * 1000:.2f}-{spans[q][1] * 1000:.2f})" for q in QUANTILES
    )
    return Row(
        what=f"Response times of {case.name}: {SERVICE * 1000:g} ms of service, a load of {case.rate * SERVICE:g}",
        conditions=f"{case.rate:g} requests/s for {QUEUE_SECONDS:.0f} s",
        ours=_words(ours),
        rival="" if theirs is None else f"{NAMES['k6']}, constant-arrival-rate",
        theirs="" if theirs is None else _words(theirs),
        target=f"theory, ms: {said}; the server was late by p99 {late * 1000:.2f} ms",
        met=all(spans[q][0] <= ours[q] <= spans[q][1] + LOOPBACK + late for q in QUANTILES),
        figures={
            **_figures("", ours),
            **_figures("theory_", true),
            **_figures("rival_", theirs or {}),
            "server_late_p99_milliseconds": late * 1000,
        },
    )


def _stall(folder: Path) -> Row:
    print("  a second of silence", file=sys.stderr)
    with _server("stall", STALL) as server:
        ours = _ours(server.url, folder / "stall", STALL_RATE, STALL_SECONDS, STALL_CONNECTIONS, "constant")
    stall = server.told
    with _server("stall", STALL) as server:
        k6 = beside(partial(of_k6, Asked(server.url, STALL_USERS, STALL_SECONDS, STALL_RATE), folder))
    with _server("stall", STALL) as server:
        wrk = beside(partial(of_wrk, Asked(server.url, STALL_CONNECTIONS, STALL_SECONDS), folder))
    with _server("stall", STALL) as server:
        hey = beside(partial(of_hey, Asked(server.url, STALL_CONNECTIONS, STALL_SECONDS)))
    return row_of_stall(stall, ours, k6, wrk, hey)


def row_of_stall(stall: float, ours: Told, k6: Told, wrk: Told, hey: Told) -> Row:
    """Say whether everybody who was due while nothing was answered, for ``stall`` seconds in our run, is in the percentiles."""
    true = {q: quantile_of_stall(STALL_SECONDS, stall, q) for q in QUANTILES}
    return Row(
        what="Response times when the server stops for a second",
        conditions=f"{STALL_RATE:g} requests/s for {STALL_SECONDS:.0f} s, {STALL_CONNECTIONS} connections",
        ours=_words(ours),
        rival=f"{NAMES['k6']} with {STALL_USERS} users; wrk, as it corrects itself; hey, a closed loop",
        theirs="; ".join(_words(told) for told in (k6, wrk, hey)),
        target=f"after {stall:.3f} s exactly {_words(true)}, within {STALL_SLACK * 1000:g} ms",
        met=all(abs(ours[q] - true[q]) <= STALL_SLACK for q in QUANTILES),
        figures={
            **_figures("", ours),
            **_figures("theory_", true),
            **_figures("rival_k6_", k6),
            **_figures("rival_wrk_", wrk),
            **_figures("rival_hey_", hey),
        },
    )


class _Server:
    """A server of known times, and what it told when it ended: seconds that it was late, or really stopped."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hello"
        self.told = 0.0


@contextlib.contextmanager
def _server(kind: str, seconds: float) -> Iterator[_Server]:
    port = free_port()
    server = _Server(port)
    command = [*first(), sys.executable, "-m", "benchmarks.load_queue", str(port), kind, f"{seconds:g}"]
    with tempfile.TemporaryFile() as output:
        with pinned(command, {}, (SERVER_CORE,), output) as process:
            wait_for("the queue takes connections", lambda: _listens(port), process)
            yield server
        output.seek(0)
        server.told = float(output.read())


def _listens(port: int) -> bool:
    """Say whether somebody takes connections; a request would begin the clock of the stall."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _ours(url: str, folder: Path, rate: float, seconds: float, connections: int, arrivals: str) -> Told:
    text = asking_hello(seconds=seconds, users=connections, rate=rate, arrivals=arrivals)
    with load(text, url.removesuffix("/hello"), folder, "--samples", through=first()) as ours:
        ours.result(seconds)
        took = [wait + connect + last for _, wait, connect, _, last, *_ in read_samples(ours.folder / "samples-0.bin")]
    return {q: percentile(took, q) for q in QUANTILES}


def _words(told: Told) -> str:
    return ", ".join(f"p{q * 100:g} {seconds * 1000:.2f} ms" for q, seconds in told.items()) or "not measured"


def _figures(prefix: str, told: Told) -> dict[str, float]:
    return {f"{prefix}p{q * 100:g}_milliseconds": seconds * 1000 for q, seconds in told.items()}
