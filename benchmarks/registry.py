"""Every benchmark of ``make bench``, by name. To add one: write ``measure`` in a module of its own and name it here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.table import Row


@dataclass(frozen=True)
class Benchmark:
    """A named benchmark.

    ``measure`` of ``module`` takes nothing, starts and stops what it needs, and returns its rows; it may pin this
    process, which has all its cores again afterwards. ``seconds`` is how long it takes, about.
    """

    name: str
    about: str
    seconds: int
    module: str

    def measure(self) -> list[Row]:
        """Run it."""
        measure: Callable[[], list[Row]] = importlib.import_module(self.module).measure
        return measure()


BENCHMARKS = (
    Benchmark("hot", "check and me beside bare Sanic, CPU a request", 260, "benchmarks.hot_path"),
    Benchmark("check", "check and me beside fastapi-users, requests/s a core", 70, "benchmarks.check"),
    Benchmark("overhead", "all telemetry on beside off, and beside stock instrumentation", 230, "benchmarks.overhead"),
    Benchmark(
        "viewers", "what ten open consoles cost the API, and how soon a first page is there", 110, "benchmarks.viewers"
    ),
    Benchmark("receivers", "the p99 of checks while the OTLP receiver is in trouble", 150, "benchmarks.receivers"),
    Benchmark("cold", "checks that find nothing cached, beside fastapi-users' warm ones", 60, "benchmarks.cold"),
    Benchmark("passwords", "argon2id by three libraries at OWASP's equal strengths", 180, "benchmarks.passwords"),
    Benchmark("login", "logins/s beside bare argon2id calls", 60, "benchmarks.login"),
    Benchmark(
        "storm", "checks while 8 clients log in, and fastapi-users under the same storm", 150, "benchmarks.storm"
    ),
    Benchmark("scale", "queries among a million users beside the same among a thousand", 300, "benchmarks.scale"),
    Benchmark("tail", "the slowest checks at half of capacity while workers are replaced", 330, "benchmarks.tail"),
    Benchmark("memory", "whether a worker's memory grows with requests", 750, "benchmarks.memory"),
    Benchmark("load-cost", "CPU of the load generator a request, beside other generators", 420, "benchmarks.load_cost"),
    Benchmark("load-steady", "10,000 requests/s from one core, when they should", 40, "benchmarks.load_steady"),
    Benchmark("load-truth", "percentiles beside queueing theory's, and a stalled server", 310, "benchmarks.load_truth"),
    Benchmark("load-agreement", "counts and times as client and server have them", 90, "benchmarks.load_agreement"),
    Benchmark("load-overload", "what a load run says of itself when it is starved", 60, "benchmarks.load_overload"),
    Benchmark("load-memory", "the load generator's memory over 10 million requests", 300, "benchmarks.load_memory"),
)


def chosen(names: list[str]) -> list[Benchmark]:
    """Return the benchmarks of these names in the order of the table, all when none is named, or raise KeyError."""
    known = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    asked = {known[name].name for name in names} or set(known)
    return [benchmark for benchmark in BENCHMARKS if benchmark.name in asked]
