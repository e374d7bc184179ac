"""Trials: a run, a change, a run, and what is said of them; and how they end otherwise."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from app.tuning.trial_files import TrialFiles
from app.tuning.trial_words import outcome
from app.tuning.trials import ServiceTrials
from console.ports import AS_DECLARED, LoadChanges, LoadEndpoint, LoadRefused, LoadRun, NoLoad
from console.tuning import Comparison, Difference, Moved, SettingRefused, Trial, TrialRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CHANGES = [("pool_size", "1")]


class Load(NoLoad):
    """Runs that take as long as they are told to."""

    def __init__(self) -> None:
        self.told: dict[str, LoadRun] = {}
        self.asked: list[LoadChanges] = []
        self.ends_as: Any = "done"

    def refusal(self) -> str | None:
        """Allow."""
        return None

    async def start(self, scenario: str, changes: LoadChanges = AS_DECLARED) -> str:
        """Take note of a run."""
        self.asked.append(changes)
        run = f"run-{len(self.asked)}"
        self._tell(run, scenario, self.ends_as)
        return run

    async def stop(self, run: str) -> None:
        """End it."""
        self._tell(run, "tune", "interrupted")

    async def runs(self, most: int = 10) -> Sequence[LoadRun]:
        """Return all."""
        return list(self.told.values())[:most]

    async def compare(self, before: str, after: str) -> Comparison:
        """Find the login slower."""
        return Comparison(before, after, (Difference("login", "p95", 0.018, 1.24, 1.2, 1.25, "real"),))

    def _tell(self, run: str, scenario: str, state: Any) -> None:
        endpoints = (LoadEndpoint("login", "POST", "/auth/login", 200, 0),)
        self.told[run] = LoadRun(run, scenario, state, 1e9, 60, 60, 10, 10, 10, 0, 1.0, endpoints=endpoints)


class Live:
    """One setting, in memory."""

    def __init__(self) -> None:
        self.value = "20"
        self.broken = False

    def refusal(self) -> str | None:
        """Allow."""
        return None

    def wanted(self, name: str, value: str) -> tuple[str, str, str]:
        """Refuse what changes nothing."""
        if value == self.value:
            raise SettingRefused("Pool size is 20 already.")
        return name, self.value, value

    async def change(self, _: str, value: str) -> SimpleNamespace:
        """Change it."""
        if self.broken:
            raise SettingRefused("Redis is away.")
        self.value = value
        return SimpleNamespace(number=1)

    async def undo(self, _: int) -> None:
        """Change it back."""
        self.value = "20"


class Feed:
    """Knows the anatomy of the login before a change and after it."""

    def __init__(self) -> None:
        self.waits = iter((0.001, 1.181))

    async def route(self, *_: object) -> SimpleNamespace:
        """Wait longer each time."""
        cohort = SimpleNamespace(cohort="p99", parts=(("pool_wait", next(self.waits)), ("hash", 0.01)))
        return SimpleNamespace(anatomy=(cohort,))


def _trials(folder: Path, load: Load, live: Live) -> ServiceTrials:
    return ServiceTrials(TrialFiles(folder), load, live, Feed(), settle=0, poll=0.01)  # type: ignore[arg-type] # as far as it is asked


async def _ended(trials: ServiceTrials) -> Trial:
    async with asyncio.timeout(30):
        while True:
            [trial] = await trials.trials(1)
            if not trial.active:
                return trial
            await asyncio.sleep(0.01)


async def test_a_trial_says_how_much_slower_and_why_and_leaves_the_change(tmp_path: Path) -> None:
    """Both runs have one seed, the change lies between them, and another worker reads the same of it."""
    load, live = Load(), Live()
    trials = _trials(tmp_path, load, live)
    name = await trials.start(CHANGES, LoadChanges(seconds=12))
    trial = await _ended(_trials(tmp_path, load, live))
    assert (trial.trial, trial.state, trial.progress) == (name, "done", 1.0)
    assert (trial.before, trial.after, trial.changes) == ("run-1", "run-2", (("pool_size", "20", "1"),))
    assert load.asked[0] == load.asked[1]
    assert (load.asked[0].seconds, load.asked[0].seed is None) == (12, False)
    assert live.value == "1"
    assert trial.moved == (Moved("POST", "/auth/login", "pool_wait", 0.001, 1.181),)
    assert trial.words == (
        "POST /auth/login p95 rose from 18 to 1,240 ms; it waits for a database connection: 1,180 ms more of its slow "
        "requests' time."
    )


async def test_only_one_goes_on_and_another_worker_can_stop_it(tmp_path: Path) -> None:
    """A second one is refused wherever it is asked for; stopped, nothing of it stays."""
    load, live = Load(), Live()
    load.ends_as = "running"
    trials, others = _trials(tmp_path, load, live), _trials(tmp_path, load, live)
    name = await trials.start(CHANGES)
    for each in (trials, others):
        with pytest.raises(TrialRefused, match="goes on already"):
            await each.start(CHANGES)
    for unknown in ("", "../x", "20260101T000000-0000"):
        with pytest.raises(TrialRefused, match="does not go on"):
            await others.stop(unknown)
    await others.stop(name)
    trial = await _ended(others)
    assert (trial.state, trial.words, live.value) == ("stopped", "It was stopped.", "20")
    assert load.told["run-1"].state == "interrupted"
    load.ends_as = "done"
    assert trials._going
    await trials._going
    await others.start(CHANGES)
    assert (await _ended(others)).state == "done"


async def test_what_fails_takes_its_change_back(tmp_path: Path) -> None:
    """A run that breaks off after the change ends the trial, with what is known of it in words."""
    load, live = Load(), Live()
    trials = _trials(tmp_path, load, live)
    started = load.start

    async def once(scenario: str, changes: LoadChanges = AS_DECLARED) -> str:
        if load.asked:
            raise LoadRefused("The load run x is still going.")
        return await started(scenario, changes)

    load.start = once  # type: ignore[method-assign]
    await trials.start(CHANGES)
    trial = await _ended(trials)
    assert (trial.state, live.value) == ("failed", "20")
    assert trial.words == "The load run x is still going. What it had changed was taken back."


async def test_a_worker_that_dies_leaves_a_trial_that_failed(tmp_path: Path) -> None:
    """Nobody has to tidy up: whoever reads it sees that nobody runs it, and the next one can be started."""
    load, live = Load(), Live()
    load.ends_as = "running"
    trials = _trials(tmp_path, load, live)
    await trials.start(CHANGES)
    await trials.close()
    others = _trials(tmp_path, load, live)
    trial = await _ended(others)
    assert (trial.state, trial.words) == ("failed", "The worker that ran it has ended. It had changed nothing yet.")
    load.ends_as = "done"
    await others.start(CHANGES)
    assert (await _ended(others)).state == "done"


async def test_what_cannot_be_tried_is_refused(tmp_path: Path) -> None:
    """Nothing, one setting twice, a value that is in force, and anything where load is off."""
    trials = _trials(tmp_path, Load(), Live())
    for changes in ([], CHANGES * 2, [("pool_size", "20")]):
        with pytest.raises(TrialRefused, match=r"\.$"):
            await trials.start(changes)
    assert not (tmp_path / "trials").exists()
    off = ServiceTrials(TrialFiles(tmp_path), NoLoad(), Live(), Feed())  # type: ignore[arg-type] # the same
    with pytest.raises(TrialRefused, match="cannot be started"):
        await off.start(CHANGES)


def test_no_difference_and_a_better_one_are_said_as_such() -> None:
    """What is noise is called noise; what fell, fell; and how many more changed is counted."""
    run = LoadRun(
        "b", "tune", "done", 0, 60, 60, 1, 1, 1, 0, 1.0, endpoints=(LoadEndpoint("me", "GET", "/auth/me", 9, 0),)
    )
    noise = Difference("me", "p95", 0.002, 0.0021, -0.001, 0.001, "noise")
    assert outcome(Comparison("a", "b", (noise,)), run, ()) == "It made no difference that is more than noise."
    better = (
        Difference("me", "p95", 0.02, 0.002, -0.02, -0.01, "real"),
        Difference("check", "p95", 0.01, 0.005, 0, 0, "real"),
    )
    said = outcome(Comparison("a", "b", better), run, (Moved("GET", "/auth/me", "sql", 0.019, 0.001),))
    assert (
        said
        == "GET /auth/me p95 fell from 20 to 2.0 ms; it waits for PostgreSQL 18 ms less. 1 other endpoint changed, too."
    )
    usual = Difference("me", "p50", 0.0006, 0.0014, 0.0005, 0.001, "real")
    assert outcome(Comparison("a", "b", (noise, usual)), run, ()) == "GET /auth/me p50 rose from 0.6 to 1.4 ms."
    unlike = Comparison("a", "b", refusal="Both are run a.")
    assert outcome(unlike, run, ()) == "Nothing can be said for sure: both are run a."
    assert outcome(unlike, run, (Moved("GET", "/auth/me", "loop", 0.002, 0.05),)).endswith(
        "requests of GET /auth/me: it waits for its turn on the event loop, 2.0 ms before and 50 ms after."
    )


async def test_a_visitor_who_leaves_while_it_starts_leaves_no_lock_behind(tmp_path: Path) -> None:
    """At whatever moment that is, a trial that has begun comes to its end, and the next can be started."""
    for turns in range(12):
        trials = _trials(tmp_path, Load(), Live())
        starting = asyncio.create_task(trials.start(CHANGES))
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        if trials._starting:
            await trials._starting
        if trials._going:
            await trials._going
        assert not trials._files._is_run()
