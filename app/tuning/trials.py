"""A change tried: load, the change, the same load again, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

import msgspec

from app.tuning.trial_words import moved, outcome
from console.ports import AS_DECLARED, LoadRefused
from console.tuning import SettingRefused, Trial, TrialRefused
from loadgen.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.tuning.live import Live
    from app.tuning.trial_files import TrialFiles
    from console.ports import Feed, LoadChanges, LoadControl, LoadRun

SCENARIO = "tune"
SETTLE_SECONDS = 3.0
"""After a change: until every worker has it, and what was under way has ended."""

POLL_SECONDS = 1.0
SILENT_SECONDS = 60.0
"""After so long without a word a run that was started has not begun."""

BUSY = "A trial goes on already; stop it or wait for its end."
_AGAIN = "What it had changed was taken back."

_logger = logging.getLogger("gatewatch")


class _Ended(Exception):
    """A trial cannot go on; ``state`` and the message say how it ended."""

    def __init__(self, state: str, words: str) -> None:
        super().__init__(words)
        self.state = state


class ServiceTrials:
    """Implements the console's Trials. Runs are of one scenario."""

    def __init__(
        self,
        files: TrialFiles,
        load: LoadControl,
        live: Live,
        feed: Feed,
        *,
        settle: float = SETTLE_SECONDS,
        poll: float = POLL_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._files, self._load, self._live, self._feed = files, load, live, feed
        self._settle, self._poll = settle, poll
        self._clock = clock
        self._starting: asyncio.Task[None] | None = None
        self._going: asyncio.Task[None] | None = None
        self._trial: Trial | None = None

    def refusal(self) -> str | None:
        """Say why none can be started, or None."""
        return self._load.refusal() or self._live.refusal()

    async def start(self, changes: Sequence[tuple[str, str]], load: LoadChanges | None = None) -> str:
        """Start one, of runs with these changes and a seed of its own; raise TrialRefused."""
        if why := self.refusal():
            raise TrialRefused(why)
        try:
            wanted = [self._live.wanted(name, value) for name, value in changes]
        except SettingRefused as error:
            raise TrialRefused(str(error)) from None
        if not wanted or len({name for name, _, _ in wanted}) < len(wanted):
            raise TrialRefused("Choose what to try: one value for each setting.")
        now = self._clock()
        trial = Trial(
            f"{dt.datetime.fromtimestamp(now, dt.UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(2)}",
            "before",
            now,
            tuple(wanted),
        )
        # Whoever asked may go away meanwhile, and must not leave a lock behind that nobody lets go.
        self._starting = asyncio.create_task(self._begin(trial, load or AS_DECLARED))
        await asyncio.shield(self._starting)
        return trial.trial

    async def _begin(self, trial: Trial, load: LoadChanges) -> None:
        await self._take(trial)
        self._going = asyncio.create_task(self._go(load), name="trial")

    async def stop(self, trial: str) -> None:
        """Ask whoever runs it to end it and take its change back; raise TrialRefused."""
        if not await asyncio.to_thread(self._files.ask_to_stop, trial):
            raise TrialRefused("That trial does not go on.")

    async def trials(self, most: int = 5) -> Sequence[Trial]:
        """Return the latest, whichever worker runs them."""
        return await asyncio.to_thread(self._files.read, most)

    async def close(self) -> None:
        """End the one that is run here, as failed: its worker ends."""
        if self._going is not None:
            self._going.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._going
            self._files.let_go()  # it may have been cancelled before it began

    async def _take(self, trial: Trial) -> None:
        try:
            if (self._going and not self._going.done()) or not await asyncio.to_thread(self._files.take):
                raise TrialRefused(BUSY)
            self._trial = trial
            await asyncio.to_thread(self._files.prune)
            await self._tell()
        except (LoadError, OSError) as error:
            self._files.let_go()
            raise TrialRefused(f"The trial cannot be kept: {error}.") from None

    async def _go(self, load: LoadChanges) -> None:
        """Run it to some end; whatever that is, it is told, and no change is left that was not judged."""
        made: list[int] = []
        try:
            await self._try(made, load)
        except _Ended as error:
            words = f"{error} {await self._take_back(made)}".strip()
            await self._tell(state=error.state, words=words)
        except (LoadRefused, SettingRefused) as error:
            words = f"{error} {await self._take_back(made)}".strip()
            await self._tell(state="failed", words=words)
        except Exception:
            _logger.exception("a trial failed")
            await self._tell(state="failed", words=f"It broke off. {await self._take_back(made)}".strip())
        finally:
            self._files.let_go()

    async def _try(self, made: list[int], load: LoadChanges) -> None:
        trial, load = self._trial, msgspec.structs.replace(load, seed=secrets.randbelow(2**31))
        if trial is None:
            return
        before = await self._run(load, "before", 0.0)
        await self._tell(state="changing", progress=0.5)
        for name, _, value in trial.changes:
            made.append((await self._live.change(name, value)).number)
        await asyncio.sleep(self._settle)
        await self._tell(state="after")
        after = await self._run(load, "after", 0.5)
        comparison = await self._load.compare(before.run, after.run)
        parts = await moved(self._feed, before, after)
        words = outcome(comparison, after, parts)
        await self._tell(state="done", progress=1.0, comparison=comparison, moved=parts, words=words)

    async def _run(self, load: LoadChanges, which: str, progress: float) -> LoadRun:
        """Send the load once and return the run that it was."""
        run = await self._load.start(SCENARIO, load)
        await self._tell(**{which: run})
        begun = self._clock()
        while True:
            await asyncio.sleep(self._poll)
            if await self._asked_to_stop():
                with contextlib.suppress(LoadRefused):
                    await self._load.stop(run)
                raise _Ended("stopped", "It was stopped.")
            found = next((each for each in await self._load.runs(10) if each.run == run), None)
            if found is None:
                if self._clock() - begun > SILENT_SECONDS:
                    raise _Ended("failed", f"Its run {run} did not begin.")
                continue
            if found.state == "done":
                return found
            if not found.active:
                raise _Ended("failed", f"Its run {run} came to no end: {found.message or found.state}.")
            share = min(1.0, found.elapsed / found.seconds) if found.seconds else 0.0
            await self._tell(progress=progress + share / 2)

    async def _asked_to_stop(self) -> bool:
        return self._trial is not None and await asyncio.to_thread(self._files.asked_to_stop, self._trial.trial)

    async def _take_back(self, made: Sequence[int]) -> str:
        """Undo changes, the last one first, and say so."""
        try:
            for number in reversed(made):
                await self._live.undo(number)
        except SettingRefused as error:
            return f"Its change could not be taken back: {error}"
        return _AGAIN if made else ""

    async def _tell(self, **news: Any) -> None:
        if self._trial is not None:
            self._trial = msgspec.structs.replace(self._trial, **news)
            await asyncio.to_thread(self._files.write, self._trial)
