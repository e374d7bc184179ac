"""What a person reads."""

from __future__ import annotations

import io
import re
from pathlib import Path

import msgspec
import pytest
from rich.console import Console, Group

from loadgen.durations import clock_time, duration
from loadgen.intervals import Interval
from loadgen.live import Pace, picture
from loadgen.plan import load_scenario
from loadgen.progress import JsonProgress, LiveProgress, PlainProgress, progress_line, progress_on
from loadgen.report import print_report, summary_lines
from loadgen.results import EndpointResult, EndpointStatus, Example, Result, RunStatus
from observability.model import Distribution

STATUS = RunStatus(
    run="r",
    scenario="smoke",
    state="done",
    started=0.0,
    updated=0.0,
    pid=1,
    target="http://a:1",
    seconds=30,
    users=20,
    prepared=20,
    elapsed=30.0,
    planned=1200,
    sent=1200,
    completed=1200,
    errors=3,
    shed=2,
    rate=40.0,
    p50=0.004,
    p95=0.0421,
    p99=1.25,
    lag_p99=0.0003,
    verdict="FAIL",
    validity="VALID",
    message="login: p95 312 ms, target 200 ms",
    endpoints=(
        EndpointStatus(
            name="login",
            method="POST",
            route="/auth/login",
            count=1200,
            errors=3,
            shed=2,
            p50=0.004,
            p95=0.312,
            p95_interval=Interval(0.3, 0.33),
            failures={"server error": 2, "timeout": 1},
            p99=1.25,
            target=0.2,
            verdict="FAIL",
        ),
        EndpointStatus(name="me", method="GET", route="/auth/me"),
    ),
)
RESULT = Result(
    version=1,
    status=STATUS,
    scenario=load_scenario("smoke"),
    fewest_samples=59,
    lag_allowed=0.005,
    lag=Distribution(),
    cpu=0.06,
    endpoints=(
        EndpointResult(
            name="login",
            statuses={"200": 1197, "503": 2},
            failures={"server error": 2, "timeout": 1},
            response=Distribution(),
            service=Distribution(),
            connect=Distribution(),
        ),
    ),
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0 us"),
        (0.000743, "743 us"),
        (0.0009996, "1 ms"),
        (0.0124, "12.4 ms"),
        (0.00996, "9.96 ms"),
        (0.1, "100 ms"),
        (0.0996, "99.6 ms"),
        (0.09996, "100 ms"),
        (0.9996, "1 s"),
        (1.2, "1.2 s"),
        (20.04, "20 s"),
    ],
)
def test_durations_are_readable(seconds: float | None, text: str) -> None:
    """Three digits at most and the unit that fits."""
    assert duration(seconds) == text


def test_times_of_a_run_are_minutes_and_seconds() -> None:
    """Hours come in when there are any."""
    assert (clock_time(0), clock_time(245.4), clock_time(3845)) == ("0:00", "4:05", "1:04:05")


def _report(*, terminal: bool, width: int = 140) -> str:
    out = io.StringIO()
    print_report(RESULT, Path("data/runs/r"), Console(file=out, force_terminal=terminal, width=width))
    return out.getvalue()


def test_the_plain_report_is_aligned_lines_without_colour() -> None:
    """A row each for heading and endpoints, then load, errors, lag, judgement and place."""
    text = _report(terminal=False)
    lines = text.splitlines()
    assert "\x1b" not in text
    assert " ".join(lines[0].split()) == "endpoint request count errors p50 p95 95 % sure p99 target p95 verdict"
    assert lines[1].split("  ")[-1] == "FAIL"
    assert "1,200       3  4 ms  312 ms  300-330 ms  1.25 s    < 200 ms  FAIL" in lines[1]
    assert lines[2].endswith("-")
    assert lines[3] == "1,200 of 1,200 requests in 0:30, 40.0/s; overall p50 4 ms, p95 42.1 ms, p99 1.25 s"
    assert lines[4] == "3 errors, 2 of them shed (503 or 429): login: 2 server error, login: 1 timeout"
    assert lines[5] == "generator lag p99 300 us (allowed 5 ms), 0.2 % of one core"
    assert lines[6] == "Run: FAIL, VALID - login: p95 312 ms, target 200 ms"
    assert lines[7] == "Written to data/runs/r; report.html there is the page to show"


def test_the_first_failure_of_a_kind_is_told_in_the_targets_words() -> None:
    """Whatever those are: no letter of them moves a cursor, and they are cut short."""
    examples = (
        Example(1.0, "server error", 503, "\x1b[2Jbusy " + "x" * 300, ""),
        Example(2.0, "server error", 500, "later", ""),
        Example(2.0, "timeout", 0, "", ""),
    )
    [endpoint, *others] = RESULT.endpoints
    failing = msgspec.structs.replace(endpoint, examples=examples)
    lines = summary_lines(msgspec.structs.replace(RESULT, endpoints=(failing, *others)), None)
    told = [line for line in lines if line.startswith("  ")]
    assert [line[:34] for line in told] == ["  server error, login: ?[2Jbusy xxx"[:34]]
    assert len(told[0]) < 200


def test_at_a_terminal_the_report_is_a_table_with_the_same_figures() -> None:
    """Verdicts carry colour, and every figure of the plain report is there."""
    text = _report(terminal=True)
    assert "\x1b[" in text
    for figure in ("1,200", "312 ms", "1.25 s", "< 200 ms", "FAIL", "VALID", "data/runs/r"):
        assert figure in text


@pytest.mark.parametrize("width", [60, 80, 110])
def test_no_figure_is_cut_however_narrow_the_terminal(width: int) -> None:
    """What does not fit is the request, which the endpoint's name tells already; at 80 columns a row is one line."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", _report(terminal=True, width=width))
    row = next(line for line in text.splitlines() if line.startswith("login "))
    assert "…" not in text
    assert row.split()[-1] == "FAIL"
    assert ("POST /auth/login" in row) == (width == 110)
    for figure in ("1,200", "312 ms", "1.25 s", "< 200 ms"):
        assert figure in row
    assert width == 60 or len(row) <= width


def test_an_interrupted_run_says_so() -> None:
    """There is no verdict to be read into it."""
    out = io.StringIO()
    status = msgspec.structs.replace(STATUS, state="interrupted", verdict=None)
    print_report(msgspec.structs.replace(RESULT, status=status), Path("r"), Console(file=out, width=140))
    assert "Run: INTERRUPTED" in out.getvalue()


def test_progress_tells_what_a_person_asks() -> None:
    """How far, how fast, how well, and how long still."""
    line = progress_line(msgspec.structs.replace(STATUS, state="running", elapsed=12.0, completed=480))
    assert line == (
        "running 0:12  480 of 1,200 requests  40.0/s  3 errors  p50 4 ms  p95 42.1 ms  p99 1.25 s  "
        "lag p99 300 us  0:18 left"
    )
    assert progress_line(msgspec.structs.replace(STATUS, state="preparing", prepared=7)) == "preparing users: 7 of 20"


def test_plain_progress_is_a_line_every_five_seconds_and_at_each_change() -> None:
    """Twelve seconds of a run with one change of state are four lines."""
    out = io.StringIO()
    progress = PlainProgress(Console(file=out))
    with progress:
        for second in range(12):
            state = "preparing" if second == 0 else "running"
            progress.show(msgspec.structs.replace(STATUS, state=state, updated=100.0 + second))
    assert len(out.getvalue().splitlines()) == 4


def test_a_terminal_gets_a_live_picture() -> None:
    """It is drawn over and taken away, and something that is no terminal gets plain lines."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=140)
    progress = progress_on(console)
    assert isinstance(progress, LiveProgress)
    assert isinstance(progress_on(Console(file=out, force_terminal=False)), PlainProgress)
    with progress:
        progress.show(msgspec.structs.replace(STATUS, state="running"))
    assert "1,200 requests" in out.getvalue()


@pytest.mark.parametrize("width", [24, 40, 60, 80, 140])
def test_the_live_picture_fits_its_terminal(width: int) -> None:
    """What matters most stays however narrow it is: the p95 of each endpoint, what failed and how, how far it is."""
    pace = Pace(66.7, 66.1)
    running = msgspec.structs.replace(STATUS, state="running", elapsed=12.0, in_flight=3, waiting=1, message="")
    console = Console(file=io.StringIO(), force_terminal=True, width=width, record=True)
    console.print(Group(*picture(running, pace, width)))
    lines = console.export_text().splitlines()
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    for figure in (
        "66.1 of 66.7/s",
        "errors 3",
        "in flight 3",
        "waiting 1",
        "lag p99 300 us",
        "312 ms",
        "login",
        "2 server error",
    ):
        assert figure in text
    assert width < 60 or "0:12 of 0:30, 0:18 left" in text
    assert width < 80 or "< 200 ms" in text


def test_the_pace_is_that_of_the_last_second() -> None:
    """What fell due and what ended between two looks; before anything was sent there is none."""
    before = msgspec.structs.replace(STATUS, state="running", elapsed=10.0, due=400, completed=390)
    after = msgspec.structs.replace(before, elapsed=12.0, due=480, completed=460)
    assert Pace.between(before, after) == Pace(40.0, 35.0)
    assert Pace.between(None, after) is None
    assert Pace.between(msgspec.structs.replace(before, state="preparing"), after) is None
    assert progress_line(after, Pace(40.0, 35.0)).split("  ")[2] == "35.0/s of 40.0/s"


def test_json_lines_are_whole_statuses() -> None:
    """Each line is a status by itself, flushed at once, so that a program can follow the run."""
    out = io.StringIO()
    with JsonProgress(out) as progress:
        progress.show(msgspec.structs.replace(STATUS, state="running"))
        progress.show(STATUS)
    states = [msgspec.json.decode(line, type=RunStatus).state for line in out.getvalue().splitlines()]
    assert states == ["running", "done"]
