"""A run second by second, for whoever draws it while it goes on: a small file beside the status, replaced as seconds pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from loadgen.history import read_result
from loadgen.results import COLUMNS_FILE, RESULT_FILE, RUN_ID
from loadgen.step_tally import OK
from observability.model import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from loadgen.ledger import Ledger
    from loadgen.results import Block, Moment, Result

_QUANTILES = (0.5, 0.95, 0.99)
_LATE = 1.0
"""Seconds until every sending process has told of a column."""

_Percentiles = tuple[float | None, float | None, float | None]


class Columns(msgspec.Struct, frozen=True):
    """A run in columns of equal length, each ``at`` so many seconds after ``started`` (Unix seconds); the arrays are equally long.

    Requests that fell due, were sent, ended, and failed are a second each, whatever the length of a column; failures and the
    percentiles of response, in seconds, are of the requests that were intended in it. A percentile of none is None.
    """

    started: float = 0.0
    at: tuple[float, ...] = ()
    planned: tuple[float | None, ...] = ()
    sent: tuple[float | None, ...] = ()
    completed: tuple[float | None, ...] = ()
    errors: tuple[float | None, ...] = ()
    p50: tuple[float | None, ...] = ()
    p95: tuple[float | None, ...] = ()
    p99: tuple[float | None, ...] = ()


class Drawing:
    """Makes columns again and again as a run goes on; what has not changed since is not reckoned again."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[int, _Percentiles]] = {}
        self._last: tuple[int, int] | None = None

    def grown(self, ledger: Ledger, elapsed: float) -> bool:
        """Say whether there is a column more since the last time; ``elapsed`` is seconds since the start."""
        length = ledger.block_seconds
        last = (length, int(max(0.0, elapsed - _LATE) // length))
        grown, self._last = last != self._last, last
        return grown

    def columns(self, ledger: Ledger, started: float, elapsed: float | None = None) -> Columns:
        """Return the columns; of a run that goes on those which are over, ``elapsed`` seconds after its start."""
        blocks = [step.blocks for step in ledger.steps.values()]
        return self._drawn(ledger.moments, blocks, ledger.block_seconds, started, elapsed)

    def of_result(self, result: Result) -> Columns:
        """Return the columns of a run that has ended."""
        moments = {moment.at: moment for moment in result.moments}
        blocks = [{block.at: block for block in endpoint.blocks} for endpoint in result.endpoints]
        return self._drawn(moments, blocks, result.block_seconds, result.status.started)

    def _drawn(
        self,
        moments: Mapping[int, Moment],
        blocks: Sequence[Mapping[int, Block]],
        length: int,
        started: float,
        elapsed: float | None = None,
    ) -> Columns:
        end = max([*moments, *(max(each) for each in blocks if each)], default=-length) + length
        if elapsed is not None:
            end = min(end, int(max(0.0, elapsed - _LATE) // length) * length)
        ats = range(0, end, length)
        there = [[block for each in blocks if (block := each.get(at)) is not None] for at in ats]
        known = {(length, at): self._reckoned((length, at), found) for at, found in zip(ats, there, strict=True)}
        self._known = known
        percentiles = [found for _, found in known.values()]
        seen = [moments.get(at) for at in ats]
        return Columns(
            started,
            tuple(map(float, ats)),
            tuple(moment.planned / length if moment else 0.0 for moment in seen),
            tuple(moment.sent / length if moment else 0.0 for moment in seen),
            tuple(moment.completed / length if moment else 0.0 for moment in seen),
            tuple(_failed(found) / length for found in there),
            tuple(found[0] for found in percentiles),
            tuple(found[1] for found in percentiles),
            tuple(found[2] for found in percentiles),
        )

    def _reckoned(self, key: tuple[int, int], found: Sequence[Block]) -> tuple[int, _Percentiles]:
        """Return the percentiles of a column and of how many requests they are: more of them, and they are reckoned again."""
        count = sum(sum(block.outcomes.values()) for block in found)
        known = self._known.get(key)
        if known is not None and known[0] == count:
            return known
        p50, p95, p99 = Histogram.of(*(block.response for block in found)).quantiles(_QUANTILES)
        return count, (p50, p95, p99)


def read_columns(data_dir: Path, run: str) -> Columns | None:
    """Return a run's columns as far as it has come, None where there is no such run or it has none yet.

    ``run`` may be whatever somebody wrote; nothing outside of the folder of runs is read. Raises HistoryError for a result
    that cannot be read.
    """
    if not RUN_ID.fullmatch(run):
        return None
    folder = data_dir / "runs" / run
    try:
        return msgspec.json.decode((folder / COLUMNS_FILE).read_bytes(), type=Columns)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        result = folder / RESULT_FILE
        return Drawing().of_result(read_result(result)) if result.is_file() else None


def _failed(blocks: Iterable[Block]) -> int:
    return sum(sum(block.outcomes.values()) - block.outcomes.get(OK, 0) for block in blocks)
