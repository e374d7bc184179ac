"""A run in columns: what is drawn while it goes on, and what is read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from unit.loadgen.reporting import made

from loadgen.columns import Columns, Drawing, read_columns
from loadgen.frames import Report
from loadgen.journeys import STEPS
from loadgen.ledger import MOST_BLOCKS, Ledger
from loadgen.results import Block, Moment
from loadgen.step_tally import StepCounts
from loadgen.tally import Counts
from observability.model import Distribution, Histogram

if TYPE_CHECKING:
    from pathlib import Path


def _spread(seconds: float, count: int) -> Distribution:
    histogram = Histogram()
    for _ in range(count):
        histogram.record(seconds)
    return histogram.freeze()


def _add(ledger: Ledger, at: int, ok: int, failed: int = 0, took: float = 0.01) -> None:
    nothing, count = Distribution(), ok + failed
    outcomes = {kind: number for kind, number in (("ok", ok), ("timeout", failed)) if number}
    block = Block(at, _spread(took, count), nothing, outcomes)
    step = StepCounts({}, 0, 0, nothing, nothing, (block,))
    moment = Moment(at, count, count, count, nothing, nothing)
    ledger.add(
        0,
        Report(
            counts=Counts({"check": step}, (moment,)),
            planned=count,
            sent=count,
            completed=count,
            in_flight=0,
            waiting=0,
            cut=0,
            draining=False,
        ),
    )


def test_a_column_is_drawn_when_it_is_over() -> None:
    """What every process has told of is there, with a zero where nothing was asked; the second that goes on is not."""
    ledger, drawing = Ledger(STEPS, ["check"]), Drawing()
    _add(ledger, 0, 3, 1)
    _add(ledger, 2, 5)
    _add(ledger, 3, 1)
    drawn = drawing.columns(ledger, 7.0, 4.5)
    assert (drawn.started, drawn.at, drawn.planned, drawn.errors) == (7.0, (0, 1, 2), (4, 0, 5), (1, 0, 0))
    assert drawn.p95[1] is None
    assert [drawn.p95[0], drawn.p95[2]] == pytest.approx([0.01, 0.01], rel=0.03)
    assert drawing.columns(ledger, 7.0).completed == (4, 0, 5, 1)
    assert [drawing.grown(ledger, elapsed) for elapsed in (4.5, 4.9, 5.1)] == [True, False, True]


def test_an_answer_that_comes_late_changes_its_column() -> None:
    """The percentiles of a second are of all requests that were intended in it, whenever they ended."""
    ledger, drawing = Ledger(STEPS, ["check"]), Drawing()
    _add(ledger, 0, 1)
    [before] = drawing.columns(ledger, 0.0).p99
    _add(ledger, 0, 3, took=2.0)
    [after] = drawing.columns(ledger, 0.0).p99
    assert [before, after] == pytest.approx([0.01, 2.0], rel=0.03)


def test_a_long_run_keeps_its_level() -> None:
    """When seconds become blocks of two, there are still so many requests a second in each."""
    ledger, drawing = Ledger(STEPS, ["check"]), Drawing()
    for at in range(MOST_BLOCKS + 1):
        _add(ledger, at, 10)
    drawn = drawing.columns(ledger, 0.0)
    assert ledger.block_seconds == 2
    assert set(drawn.planned[:-1]) == {10.0}
    assert drawn.at[:3] == (0, 2, 4)


def test_columns_are_read_back_or_made_of_the_result(tmp_path: Path) -> None:
    """A run that wrote none has them in its result; what is no run has none, and no path leads out."""
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    assert read_columns(tmp_path, "mine") is None
    assert read_columns(tmp_path, "../mine") is None
    (folder / "result.json").write_bytes(msgspec.json.encode(made(seconds=12)))
    again = read_columns(tmp_path, "mine")
    assert again is not None
    assert len(again.at) == len(again.p95) == 12
    (folder / "columns.json").write_bytes(msgspec.json.encode(Columns(started=5.0, at=(0.0,))))
    read = read_columns(tmp_path, "mine")
    assert read is not None
    assert read.started == 5.0
