"""The promises of logout and of profile changes, put to random histories on two workers.

A history is one user's: readers, writers, somebody who ends sessions and somebody who makes trouble run at the same time
on two workers that share PostgreSQL and Redis, some of them through a Redis that is frozen, or restarted empty or with
an older copy of itself. What each call saw is then judged by an exact rule in one pass (`histories.judge`).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from histories.judge import Judge
from histories.shrink import Shrinking
from histories.weakened import FROM_A_COPY, WEAKNESSES, WHILE_OFF, Weakness, deletes_only_what_is_on, filled_from_a_copy
from histories.world import AT_ONCE, STORMS, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    Open = Callable[[], AbstractAsyncContextManager[World]]
    Say = Callable[[str], None]

HISTORIES = int(os.environ.get("HISTORIES", "240"))
"""How many are run; HISTORIES=5000 makes a long coffee break of it."""

FIRST_SEED = int(os.environ.get("FIRST_SEED", "0"))
SWITCHED = HISTORIES // 6
BATCHES_A_STORM = 6
ENOUGH = 1000
"""Histories in which a rule that is missing has to be found."""

ENOUGH_IN_STORMS = 400


@pytest.fixture
def open_world(database_url: str, tmp_path: Path) -> Open:
    """Return a function that opens two workers."""
    return lambda: World.open(database_url, tmp_path)


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Say:
    """Return a function that puts a line into the output of the run."""
    plugins = request.config.pluginmanager
    terminal, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")

    def line(text: str) -> None:
        assert terminal is not None
        assert capture is not None
        with capture.global_and_fixture_disabled():
            terminal.write_line(f"\n{text}")

    return line


async def test_no_history_breaks_the_promises(open_world: Open, say: Say) -> None:
    """Whatever is slow, evicted, flushed or restarted: what is over is refused, what is not over is not, no profile is old."""
    async with open_world() as world:
        for batch, first in enumerate(range(FIRST_SEED, FIRST_SEED + HISTORIES, AT_ONCE), 1):
            turn, rest = divmod(batch, BATCHES_A_STORM)
            storm = None if rest else STORMS[turn % len(STORMS)]
            for played, calls in await world.batch(range(first, first + AT_ONCE), storm):
                for finding in Judge.of(calls):
                    pytest.fail(await Shrinking(world).report(played, calls, finding, storm))
    counts = ", ".join(f"{count:,} {what}" for what, count in world.operations.most_common())
    say(f"{HISTORIES:,} histories, {world.operations.total():,} operations: {counts}")


@pytest.mark.parametrize("weakness", WEAKNESSES, ids=lambda each: each.name)
async def test_each_rule_is_needed(
    open_world: Open, weakness: Weakness, monkeypatch: pytest.MonkeyPatch, say: Say
) -> None:
    """The same histories find a cache out that lacks one of its rules, so each is needed and they are able to find it."""
    weakness.weaken(monkeypatch)
    async with open_world() as world:
        say(f"{weakness.name}: {await first_found(world, weakness)}")


async def test_a_fill_from_a_copy_is_found(open_world: Open, database_url: str, say: Say) -> None:
    """Rule 4 is needed as well: what is filled from a copy that lags breaks the promises."""
    async with open_world() as world, filled_from_a_copy(world, database_url):
        say(f"rule 4: fill from a copy: {await first_found(world, FROM_A_COPY)}")


async def test_switches_that_are_moved_meanwhile_break_no_promise(open_world: Open, say: Say) -> None:
    """Caches and coalescing may be turned off and on, on one worker or another, whatever is under way."""
    async with open_world() as world:
        world.switching = True
        for first in range(FIRST_SEED, FIRST_SEED + SWITCHED, AT_ONCE):
            for played, calls in await world.batch(range(first, first + AT_ONCE)):
                for finding in Judge.of(calls):
                    pytest.fail(await Shrinking(world).report(played, calls, finding, None))
    say(f"{SWITCHED:,} histories with {world.operations['switch']:,} switches")
    assert world.operations["switch"] >= SWITCHED


async def test_a_cache_that_is_off_has_to_be_told_all_the_same(open_world: Open, say: Say) -> None:
    """Histories with switches find workers out that delete nothing while their caches are off."""
    async with open_world() as world:
        world.switching = True
        deletes_only_what_is_on(world)
        say(f"{WHILE_OFF.name}: {await first_found(world, WHILE_OFF)}")


async def first_found(world: World, weakness: Weakness) -> str:
    """Play until what is expected is found; say after how many histories."""
    others = Counter[str]()
    for first in range(0, ENOUGH_IN_STORMS if weakness.storm else ENOUGH, AT_ONCE):
        for _, calls in await world.batch(range(first, first + AT_ONCE), weakness.storm, weakness.plans):
            for finding in Judge.of(calls):
                if re.search(weakness.found, finding.what):
                    return f"{finding.what} (within {first + AT_ONCE} histories)"
                others[finding.what] += 1
    raise AssertionError(f"not found; but {others}")
