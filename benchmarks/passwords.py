"""Argon2id by the libraries there are, at each of OWASP's equal strengths, with malloc as it is and told to keep its pages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from statistics import median

from app.settings import OWASP_ARGON2ID
from benchmarks.hash_library import KEPT
from benchmarks.table import Row, ratio_of

LIBRARIES = ("PyNaCl", "argon2-cffi", "cryptography")
TUNINGS = ("malloc as it is", "thresholds in the environment", "thresholds by mallopt")
PAIRS = int(os.environ.get("BENCH_PAIRS", "5"))
SECONDS = 0.3
CHOSEN = OWASP_ARGON2ID.index((7168, 5))

Case = tuple[str, int, str]
USUAL = "PyNaCl", "malloc as it is"


def measure() -> list[Row]:
    """Measure every library in every way, in turns; each stands beside PyNaCl with as many threads."""
    cases: list[Case] = [
        (library, threads, tuning) for threads in (1, 2) for library in LIBRARIES for tuning in TUNINGS
    ]
    runs: dict[Case, list[list[float]]] = {case: [] for case in cases}
    for number in range(PAIRS):
        print(f"  round {number + 1} of {PAIRS}", file=sys.stderr)
        for case in cases:
            runs[case].append(_run(*case))
    return [_row(case, runs) for case in cases]


def _run(library: str, threads: int, tuning: str) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.hash_library", library, str(threads), str(SECONDS)]
    environment = dict(os.environ)
    if tuning == TUNINGS[1]:
        environment |= {"MALLOC_MMAP_THRESHOLD_": str(KEPT), "MALLOC_TRIM_THRESHOLD_": str(KEPT)}
    elif tuning == TUNINGS[2]:
        command.append("mallopt")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    return list(json.loads(done.stdout))


def _row(case: Case, runs: dict[Case, list[list[float]]]) -> Row:
    library, threads, tuning = case
    rates = [median(run[place] for run in runs[case]) for place in range(len(OWASP_ARGON2ID))]
    beside = (USUAL[0], threads, USUAL[1])
    names = [f"m={memory},t={passes}" for memory, passes in OWASP_ARGON2ID]
    row = Row(
        what=f"argon2id by {library}",
        conditions=f"{threads} {'thread' if threads == 1 else 'threads'}, {tuning}",
        ours="; ".join(f"{name} {rate:.0f}/s" for name, rate in zip(names, rates, strict=True)),
        figures={
            f"hashes_per_s m={memory},t={passes}": rate
            for (memory, passes), rate in zip(OWASP_ARGON2ID, rates, strict=True)
        },
    )
    if case == beside:
        return row
    ratio = ratio_of([run[CHOSEN] for run in runs[case]], [run[CHOSEN] for run in runs[beside]])
    return Row(
        what=row.what,
        conditions=row.conditions,
        ours=row.ours,
        figures=row.figures,
        rival=f"PyNaCl, {names[CHOSEN]}",
        theirs=f"{median(run[CHOSEN] for run in runs[beside]):.0f}/s",
        **ratio,
    )
