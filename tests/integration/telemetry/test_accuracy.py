"""What four workers counted, merged, beside each duration remembered singly."""

from __future__ import annotations

import asyncio
import math
import os
import sys
from pathlib import Path

import measuring
import pytest

from observability.model import Histogram, decode_snapshot

WORKERS = 4


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[measuring.Measured]:
    """Run the workers side by side."""
    folder = tmp_path_factory.mktemp("measured")
    files = [folder / str(seed) for seed in range(WORKERS)]
    asyncio.run(_run(files))
    return [measuring.read(file) for file in files]


async def _run(files: list[Path]) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = sys.executable, str(Path(measuring.__file__))
    workers = [
        await asyncio.create_subprocess_exec(*command, str(seed), str(file), env=environment)
        for seed, file in enumerate(files)
    ]
    async with asyncio.timeout(120):
        assert [await worker.wait() for worker in workers] == [0] * WORKERS


@pytest.mark.parametrize("route", measuring.SHAPES)
def test_counts_are_exact_and_percentiles_within_the_promise(measured: list[measuring.Measured], route: str) -> None:
    """Not one request more or less; p50, p95 and p99 within 2.2 % of the durations of those very ranks."""
    ordered = sorted(seconds for worker in measured for seconds in worker.durations[route])
    series = [c for worker in measured for c in decode_snapshot(worker.snapshot).requests if c.route == route]
    merged = Histogram.of(*(counts.duration for counts in series))
    assert merged.count == len(ordered) == WORKERS * measuring.REQUESTS
    assert merged.total == pytest.approx(sum(ordered))
    for q in (0.5, 0.95, 0.99):
        assert merged.quantile(q) == pytest.approx(ordered[math.ceil(q * len(ordered)) - 1], rel=0.0219)


@pytest.mark.parametrize("route", measuring.SHAPES)
def test_the_anatomy_adds_up(measured: list[measuring.Measured], route: str) -> None:
    """Its bands hold every request and second; what handlers say that they waited is there within 2 %, stalls apart."""
    anatomies = [a for worker in measured for a in decode_snapshot(worker.snapshot).anatomy if a.route == route]
    bands = [band for anatomy in anatomies for band in anatomy.bands]
    whole, durations = sum(band.total for band in bands), [worker.durations[route] for worker in measured]
    assert sum(band.count for band in bands) == WORKERS * measuring.REQUESTS
    assert whole == pytest.approx(sum(map(sum, durations)), rel=1e-9)
    for band in bands:
        assert sum(band.parts) <= band.total * (1 + 1e-9)
        assert (
            2 ** (band.index / 2) * band.count
            <= band.total * 1.0001
            <= 2 ** ((band.index + 1) / 2) * band.count * 1.001
        )
    told, waited = sum(sum(band.parts) for band in bands), sum(worker.waited[route] for worker in measured)
    assert waited * 0.98 <= told <= whole
