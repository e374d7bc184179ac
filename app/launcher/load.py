"""Load runs asked for from the console: each is `gatewatch load` under a guard, one at a time."""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
import signal
from typing import TYPE_CHECKING, Any

from app.embedded.errors import EmbeddedError
from app.embedded.guarded import Guarded, Order
from app.load_limits import flags_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# A run that is told to stop drains and writes its report; within 5 s of our death it must be gone all the same.
STOPS = (("SIGINT", 4.0), ("SIGTERM", 0.5))


class LoadRuns:
    """Starts and stops load runs against this instance, and against nothing else."""

    def __init__(
        self, program: Sequence[str], folder: Path, target: str, environment: Mapping[str, str], *, allowed: bool
    ) -> None:
        self._program = tuple(program)
        self._folder = folder
        self._target = target
        self._environment = environment
        self._allowed = allowed
        self._turn = asyncio.Lock()
        self._closed = False
        self._run = ""
        self._running: Guarded | None = None

    async def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Answer a worker that asks to start or to stop a run."""
        question = {"id": message.get("id")}
        try:
            match message:
                case {"op": "load.start", "scenario": str(scenario)}:
                    changes = message.get("changes") or {}
                    return {**question, "ok": True, "run": await self._start(scenario, changes)}
                case {"op": "load.stop", "run": str(run)}:
                    self._stop(run)
                    return {**question, "ok": True, "run": run}
                case _:
                    return {**question, "ok": False, "error": "The launcher does not know this request."}
        except (RefusedError, EmbeddedError) as error:
            return {**question, "ok": False, "error": str(error)}
        except OSError as error:
            return {**question, "ok": False, "error": f"The load run cannot be started: {error.strerror}."}

    def interrupt(self) -> None:
        """Start no more runs, and ask the running one to drain and report."""
        self._closed = True
        if self._running is not None:
            self._running.signal(signal.SIGINT)

    async def ended(self, patience: float) -> None:
        """Wait for the running one to end, at most `patience` seconds."""
        if self._running is not None:
            await asyncio.to_thread(self._running.wait, patience)

    async def stop(self, patience: float) -> None:
        """End the running one, by force past `patience` seconds."""
        self._closed = True
        async with self._turn:
            if self._running is not None:
                await asyncio.to_thread(self._running.stop, patience)

    async def _start(self, scenario: str, changes: Mapping[str, Any]) -> str:
        async with self._turn:
            if not self._allowed:
                raise RefusedError("Load runs from the console are off here; GATEWATCH_LOAD=on allows them.")
            if self._closed:
                raise RefusedError("Gatewatch is stopping.")
            try:
                flags = flags_for(scenario, changes)
            except ValueError as error:
                raise RefusedError(str(error)) from None
            if self._running is not None and not self._running.ended:
                raise RefusedError(f"The load run {self._run} is still going; stop it or wait for its end.")
            run = run_id(scenario)
            self._running = await asyncio.to_thread(self._spawn, scenario, run, flags)
            self._run = run
            return run

    def _spawn(self, scenario: str, run: str, flags: Sequence[str]) -> Guarded:
        # The load generator makes this folder itself, and refuses one that is there.
        folder = self._folder / "runs" / run
        command = [*self._program, "load", scenario, f"--run-id={run}", f"--target={self._target}", *flags]
        return Guarded(
            Order(
                label="load",
                command=command,
                stops=STOPS,
                log=folder / "log.txt",
                env=self._environment,
            )
        )

    def _stop(self, run: str) -> None:
        if self._running is None or self._running.ended or run != self._run:
            raise RefusedError("That load run is not running.")
        self._running.signal(signal.SIGINT)


class RefusedError(Exception):
    """A load run that may not be started or stopped now; the message is a sentence for the console."""


def run_id(scenario: str) -> str:
    """Return a new run's name: its time in UTC, what it runs, and four digits that tell twins apart."""
    now = dt.datetime.now(dt.UTC)
    return f"{now:%Y%m%dT%H%M%S}-{scenario}-{secrets.token_hex(2)}"
