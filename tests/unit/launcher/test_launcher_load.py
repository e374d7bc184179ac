"""Claims about load runs asked for by a worker, made with a small program in the place of the load generator."""

import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.launcher.load import LoadRuns

PROGRAM = """
import pathlib, sys, time
pathlib.Path("%s", "runs", sys.argv[3].removeprefix("--run-id=")).mkdir(parents=True)
try:
    print(*sys.argv[1:], flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def _runs(folder: Path, *, allowed: bool = True) -> LoadRuns:
    return LoadRuns((sys.executable, "-I", "-c", PROGRAM % folder), folder, "http://127.0.0.1:1", {}, allowed=allowed)


def _start(scenario: Any) -> dict[str, Any]:
    return {"op": "load.start", "id": 1, "scenario": scenario}


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[LoadRuns]:
    """Load runs that are allowed."""
    runs = _runs(tmp_path)
    yield runs
    await runs.stop(2)


@pytest.mark.parametrize("scenario", ["../smoke", "/etc/passwd", "smoke.toml", "", "--help", 7, None])
async def test_only_known_scenarios_start(runs: LoadRuns, scenario: Any, tmp_path: Path) -> None:
    """Nothing but the name of a known scenario is ever run."""
    answer = await runs.answer(_start(scenario))
    assert answer["ok"] is False
    assert answer["id"] == 1
    assert not (tmp_path / "runs").exists()


async def test_one_run_at_a_time(runs: LoadRuns) -> None:
    """A second run is refused with a sentence while one is going."""
    first = await runs.answer(_start("smoke"))
    assert first["ok"] is True
    second = await runs.answer(_start("smoke"))
    assert second == {
        "id": 1,
        "ok": False,
        "error": f"The load run {first['run']} is still going; stop it or wait for its end.",
    }


async def test_stop_interrupts_the_run(runs: LoadRuns, tmp_path: Path) -> None:
    """Stopping a run lets it end by itself, with all it has to say in its folder."""
    run = (await runs.answer(_start("smoke")))["run"]
    log = tmp_path / "runs" / run / "log.txt"
    _until_logged(log, f"load smoke --run-id={run} --target=http://127.0.0.1:1")
    assert (await runs.answer({"op": "load.stop", "id": 2, "run": run}))["ok"] is True
    await runs.ended(30)
    assert "interrupted" in log.read_text()
    assert (await runs.answer({"op": "load.stop", "id": 3, "run": run}))["error"] == "That load run is not running."


async def test_refused_where_load_is_off(tmp_path: Path) -> None:
    """Where load from the console is off, a worker that asks all the same is refused."""
    answer = await _runs(tmp_path, allowed=False).answer(_start("smoke"))
    assert "GATEWATCH_LOAD=on" in answer["error"]


async def test_unknown_request_is_answered(runs: LoadRuns) -> None:
    """A request that makes no sense is answered and ends nothing."""
    assert (await runs.answer({"op": "rm", "id": 4}))["ok"] is False


def _until_logged(log: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_numbers_of_a_run_are_changed_within_caps_and_no_further(runs: LoadRuns, tmp_path: Path) -> None:
    """A run is started with the numbers that were asked for; what is past a cap, or no number of that plan, starts nothing."""
    for scenario, changes in (
        ("smoke", {"users": 5_001}),
        ("smoke", {"users": 0}),
        ("smoke", {"rate_per_minute": float("nan")}),
        ("smoke", {"seconds": 3_601.0}),
        ("smoke", {"seconds": "10 --target=http://elsewhere"}),
        ("smoke", {"target": 1}),
        ("spike", {"seconds": 10.0}),
        ("storm", {"rate_per_minute": 100.0}),
    ):
        answer = await runs.answer({**_start(scenario), "changes": changes})
        assert answer["ok"] is False, changes
        assert answer["error"].endswith("."), changes
    assert not (tmp_path / "runs").exists()
    changes = {"users": 30, "rate_per_minute": 600.0, "seconds": 12.5, "seed": 7}
    run = (await runs.answer({**_start("smoke"), "changes": changes}))["run"]
    _until_logged(tmp_path / "runs" / run / "log.txt", "--users=30 --rate=600 --duration=12.5 --seed=7")
