"""Run benchmarks; write build/bench/results.md and results.json."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from benchmarks.registry import BENCHMARKS, Benchmark, chosen
from benchmarks.table import Row, markdown

OUT = Path("build/bench")
VERSIONS = ("sanic", "uvloop", "redis", "hiredis", "asyncpg", "tortoise-orm", "msgspec", "pynacl")


@click.command(epilog="BENCH_PAIRS and BENCH_SECONDS change how often and how long each pair runs (5 and 3).")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--list", "listing", is_flag=True, help="Say what there is to measure, and leave.")
def main(names: tuple[str, ...], *, listing: bool) -> None:
    """Measure the benchmarks that are named, or all, and write one table of them.

    The table goes to build/bench/results.md, the figures to results.json beside it. The exit status is 1 when
    something could not be measured; a missed target is only said.
    """
    if listing:
        for benchmark in BENCHMARKS:
            print(f"{benchmark.name:10} {_minutes(benchmark.seconds):>7}  {benchmark.about}")
        return
    try:
        benchmarks = chosen(list(names))
    except KeyError as unknown:
        raise click.BadParameter(f"there is no {unknown}; see --list") from None
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    said = _minutes(sum(benchmark.seconds for benchmark in benchmarks))
    print(f"Measuring for about {said}; leave the machine alone", file=sys.stderr)
    rows: list[Row] = []
    failures, written = 0, ""
    try:
        for number, benchmark in enumerate(benchmarks, 1):
            print(f"{number}/{len(benchmarks)} {benchmark.name}: {benchmark.about}", file=sys.stderr)
            measured, failed = _measure(benchmark)
            rows += measured
            failures += failed
            written = _write(rows)
    except KeyboardInterrupt:
        print(f"Interrupted; what was done is in {OUT}" if rows else "Interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    print(f"{written}\nWritten to {OUT}/results.md and results.json")
    raise SystemExit(bool(failures))


def _measure(benchmark: Benchmark) -> tuple[list[Row], bool]:
    """Return the rows and whether it failed; the next one begins with all cores again."""
    cores, began = os.sched_getaffinity(0), time.monotonic()
    try:
        return benchmark.measure(), False
    except Exception as error:  # noqa: BLE001 - the others are measured all the same, and the table says it
        print(f"  failed: {error}", file=sys.stderr)
        return [Row(what=benchmark.about, ours=f"not measured: {type(error).__name__}: {error}")], True
    finally:
        os.sched_setaffinity(0, cores)
        print(f"  took {time.monotonic() - began:.0f} s", file=sys.stderr)


def _write(rows: list[Row]) -> str:
    """Write the table of what was measured so far, and return it."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607 - the developer's git
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in VERSIONS},
    }
    OUT.mkdir(parents=True, exist_ok=True)
    table, said = markdown(rows), ", ".join(f"{name} {value}" for name, value in about.items())
    text = f"{table}\n{said}\n"
    (OUT / "results.md").write_text(text)
    (OUT / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode({"about": about, "rows": rows})))
    return text


def _minutes(seconds: int) -> str:
    return f"{seconds} s" if seconds < 60 else f"{round(seconds / 60)} min"


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
