"""Adding up, for as long as it takes, and looking whether to stop."""

from __future__ import annotations

from loadgen.frames import Report
from loadgen.journeys import STEPS
from loadgen.ledger import MOST_BLOCKS, Ledger
from loadgen.results import Block, Moment
from loadgen.scenario import StopRule
from loadgen.step_tally import StepCounts
from loadgen.tally import Counts
from loadgen.watch import Watch
from observability.model import Distribution, Histogram


def _spread(*values: float) -> Distribution:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram.freeze()


def _report(at: int, outcomes: dict[str, int], took: float = 0.01) -> Report:
    count = sum(outcomes.values())
    block = Block(at, _spread(*[took] * count), _spread(*[took] * count), outcomes)
    nothing = Distribution()
    step = StepCounts({"200": count}, 0, outcomes.get("server error", 0), nothing, nothing, (block,))
    moment = Moment(at, count, count, count, _spread(*[0.0001] * count), nothing, 1, 0)
    return Report(
        counts=Counts({"check": step}, (moment,)),
        planned=count,
        sent=count,
        completed=count,
        in_flight=0,
        waiting=0,
        cut=0,
        draining=False,
    )


def test_a_long_run_is_kept_in_ever_longer_blocks() -> None:
    """After three times as many seconds as blocks are kept, blocks are four seconds long and nothing is lost."""
    ledger = Ledger(STEPS, ["check"])
    seconds = 3 * MOST_BLOCKS
    for at in range(seconds):
        ledger.add(at % 2, _report(at, {"ok": 2}))
    assert ledger.block_seconds == 4
    assert len(ledger.moments) == len(ledger.steps["check"].blocks) == seconds // 4
    assert all(at % 4 == 0 == block.at % 4 and block.at == at for at, block in ledger.steps["check"].blocks.items())
    assert sum(block.outcomes["ok"] for block in ledger.steps["check"].blocks.values()) == 2 * seconds
    assert sum(moment.sent for moment in ledger.moments.values()) == 2 * seconds
    merged = Histogram.of(*(block.response for block in ledger.steps["check"].blocks.values())).freeze()
    assert merged.counts == ledger.steps["check"].response.freeze().counts
    assert ledger.completed == 2 * seconds


def test_a_day_takes_no_more_room_than_stated() -> None:
    """At no time of 24 hours is more kept than so many blocks of a whole histogram each, and nothing is lost for it."""
    ledger = Ledger(STEPS, ["check"])
    for at in range(0, 86_400, 10):
        ledger.add(0, _report(at, {"ok": 2}, took=0.001 * 1.3 ** (at % 37)))
        assert len(ledger.steps["check"].blocks) <= MOST_BLOCKS + 8
        assert len(ledger.moments) <= MOST_BLOCKS + 8
    assert ledger.completed == sum(block.response.count for block in ledger.steps["check"].blocks.values()) == 17_280


def test_outcomes_are_errors_unless_they_are_ok() -> None:
    """Counts and errors are told per step and in all."""
    ledger = Ledger(STEPS, ["check", "me"])
    ledger.add(0, _report(0, {"ok": 7, "timeout": 2, "server error": 1}))
    assert (ledger.completed, ledger.errors, ledger.server_errors) == (10, 3, 1)
    assert dict(ledger.steps["check"].failures) == {"timeout": 2, "server error": 1}
    assert ledger.steps["me"].count == 0


def test_a_stop_rule_looks_at_the_last_seconds_only() -> None:
    """Errors of before do not count, few requests say nothing, and what is over the bound is told."""
    ledger = Ledger(STEPS, ["check"])
    watch = Watch([StopRule(figure="error_rate", above=0.5, for_s=2)])
    told = []
    for at, outcomes in enumerate(
        [{"timeout": 9}, {"timeout": 9}, {"ok": 30}, {"ok": 30}, {"timeout": 40}, {"timeout": 40}]
    ):
        ledger.add(0, _report(at, outcomes))
        told.append(watch.look(ledger, float(at)))
    assert told == ["", "", "", "", "stopped: error_rate 0.571 over 2 s, 0.5 is the most", told[5]]
    assert told[5].startswith("stopped: error_rate 1 ")


def test_slowness_and_server_errors_can_stop_a_run_too() -> None:
    """The p95 of the window in milliseconds, and the number of server errors in it."""
    slow, broken = StopRule(figure="p95_ms", above=100, for_s=1), StopRule(figure="server_errors", above=3, for_s=1)
    for rule, outcomes, says in [
        (slow, {"ok": 30}, "p95_ms"),
        (broken, {"ok": 30, "server error": 4}, "server_errors 4"),
    ]:
        ledger, watch = Ledger(STEPS, ["check"]), Watch([rule])
        ledger.add(0, _report(0, {"ok": 30}))
        assert watch.look(ledger, 0.0) == ""
        ledger.add(0, _report(1, outcomes, took=0.5))
        assert says in watch.look(ledger, 1.0)
