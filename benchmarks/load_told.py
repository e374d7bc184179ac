"""What other load generators say of response times, run one after the other on the driver's core."""

from __future__ import annotations

import json
import math
import re
import sys
import tempfile
from typing import TYPE_CHECKING

from benchmarks.instance import DRIVER_CORE, pinned
from benchmarks.load_rivals import hey, k6, wrk
from benchmarks.load_run import first
from benchmarks.rivals import RivalMissing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.load_rivals import Asked

QUANTILES = (0.5, 0.95, 0.99)
Told = dict[float, float]
"""Seconds by share of requests."""

PATIENCE = 60.0

WRK_PERCENTILES = """
done = function(summary, latency, requests)
  io.write(string.format("told %d %d %d\\n", latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
"""


def beside(measured: Callable[[], Told]) -> Told:
    """Return what a rival says, or nothing when it is not here."""
    try:
        return measured()
    except RivalMissing as missing:
        print(f"  {missing}", file=sys.stderr)
        return {}


def of_k6(asked: Asked, folder: Path) -> Told:
    """Run k6."""
    summary = folder / "k6.json"
    _said(asked, k6(asked, "--summary-export", str(summary)))
    return told_by_k6(summary.read_text())


def of_wrk(asked: Asked, folder: Path) -> Told:
    """Run wrk with a script that tells what its table leaves out."""
    script = folder / "told.lua"
    script.write_text(WRK_PERCENTILES)
    return told_by_wrk(_said(asked, wrk(asked, "-s", str(script))))


def of_hey(asked: Asked) -> Told:
    """Run hey."""
    return told_by_hey(_said(asked, hey(asked)))


def told_by_k6(summary: str) -> Told:
    """Read k6's summary, which is in milliseconds."""
    told = json.loads(summary)["metrics"]["http_req_duration"]
    return {q: told[f"p({q * 100:g})"] / 1000 for q in QUANTILES}


def told_by_wrk(said: str) -> Told:
    """Read what our script for wrk says, in microseconds."""
    found = re.search(r"^told (\d+) (\d+) (\d+)$", said, re.MULTILINE)
    return {q: int(us) / 1e6 for q, us in zip(QUANTILES, found.groups(), strict=True)} if found else {}


def told_by_hey(said: str) -> Told:
    """Read hey's summary, which is in seconds."""
    return {
        q: float(found[1])
        if (found := re.search(rf"^\s*{q * 100:g}%+ in ([\d.]+) secs", said, re.MULTILINE))
        else math.nan
        for q in QUANTILES
    }


def _said(asked: Asked, command: list[str]) -> str:
    """Run a load generator on its core, and return what it printed."""
    with tempfile.TemporaryFile() as output, pinned([*first(), *command], {}, (DRIVER_CORE,), output) as process:
        process.wait(asked.seconds + PATIENCE)
        output.seek(0)
        return output.read().decode()
