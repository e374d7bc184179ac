"""What load runs left in their folders, in the console's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.ports import Comparison, LoadColumns
from console.tuning import Difference
from loadgen.columns import read_columns
from loadgen.compare import compare
from loadgen.errors import HistoryError, IncomparableError
from loadgen.history import read_result
from loadgen.results import RESULT_FILE, RUN_ID

if TYPE_CHECKING:
    from pathlib import Path

    from console.tuning import Percentile
    from loadgen.compare import Difference as Found
    from loadgen.results import Result

_PERCENTILES: dict[str, Percentile] = {"response p50": "p50", "response p95": "p95", "response p99": "p99"}


def columns_of(data_dir: Path, run: str) -> LoadColumns | None:
    """Return a run second by second, as far as it has come; None for what is no run, or cannot be read."""
    try:
        columns = read_columns(data_dir, run)
    except HistoryError:
        return None
    return msgspec.convert(columns, LoadColumns, from_attributes=True) if columns is not None else None


def compared(data_dir: Path, before: str, after: str) -> Comparison:
    """Compare the results of two runs; what prevents that is said in the comparison."""
    try:
        a, b = (_result(data_dir, run) for run in (before, after))
        found = compare(a, b).differences
    except (HistoryError, IncomparableError) as error:
        said = str(error)
        return Comparison(before, after, refusal=f"{said[:1].upper()}{said[1:]}.")
    return Comparison(before, after, tuple(_difference(each) for each in found if each.figure in _PERCENTILES))


def _result(data_dir: Path, run: str) -> Result:
    if not RUN_ID.fullmatch(run) or not (path := data_dir / "runs" / run / RESULT_FILE).is_file():
        raise HistoryError("one of the runs left no result")
    return read_result(path)


def _difference(found: Found) -> Difference:
    return Difference(
        endpoint=found.endpoint,
        percentile=_PERCENTILES[found.figure],
        before=found.a,
        after=found.b,
        low=found.difference_bounds.low,
        high=found.difference_bounds.high,
        judgement=found.word,
    )
