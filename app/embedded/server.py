"""A running local server: where it is, how to stop it, how to bring it back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from app.embedded.errors import EmbeddedError
from app.embedded.port import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.embedded.guarded import Guarded

PORT_TRIES = 5
RETURN_TRIES = 10
POLL = 0.02


class Server:
    """A PostgreSQL or Redis of ours. `url` carries its password and stays the same over a restart."""

    def __init__(self, name: str, url: str, begin: Callable[[], Guarded]) -> None:
        self.name = name
        self.url = url
        self._begin = begin
        self._running = begin()

    @property
    def pid(self) -> int:
        """The server process itself, not its guard."""
        return self._running.pid

    @property
    def running(self) -> bool:
        """Whether the server process is there."""
        return not self._running.ended

    @property
    def ending(self) -> str:
        """How the server ended: the signal that ended it, or its exit code with what it said of it."""
        code = self._running.exit_code
        if code is not None and code < 0:
            return f"by signal {-code}"
        return f"with exit code {code}: {telling(self._running.said)}"

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the server has ended by itself or was stopped; return whether it has."""
        return self._running.wait(timeout)

    def stop(self, timeout: float = 8) -> None:
        """Stop it and wait until it has ended, at most about `timeout` seconds."""
        self._running.stop(timeout)

    def restart(self) -> None:
        """Bring it back on the same port with the same password; raise EmbeddedError when it does not come."""
        self._running.stop()
        for attempt in range(RETURN_TRIES):
            try:
                self._running = self._begin()
            except PortTakenError:
                # A client's connection may hold the port for a moment.
                if attempt == RETURN_TRIES - 1:
                    raise
                time.sleep(0.2)
            else:
                return


class PortTakenError(EmbeddedError):
    """Somebody else listens on the port that was chosen."""


def on_free_port(serve: Callable[[int], Server]) -> Server:
    """Start a server on a free port, and on another one when somebody took it in between."""
    for _ in range(PORT_TRIES - 1):
        try:
            return serve(free_port())
        except PortTakenError:
            continue
    return serve(free_port())


def until_ready(name: str, running: Guarded, ready: Callable[[], bool], patience: float) -> Guarded:
    """Return `running` once it is ready; stop it and raise EmbeddedError when it ends or takes over `patience` seconds."""
    deadline = time.monotonic() + patience
    while not ready():
        if running.wait(POLL):
            words = telling(running.said)
            kind = (
                PortTakenError
                if any("address already in use" in line.lower() for line in running.said)
                else EmbeddedError
            )
            raise kind(f"{name} did not start (exit {running.exit_code}): {words}")
        if time.monotonic() > deadline:
            running.stop(2)
            raise EmbeddedError(f"{name} was not ready within {patience:g} s: {telling(running.said)}")
    return running


def telling(lines: tuple[str, ...]) -> str:
    """Choose the line that tells most: the first that names an error, else the last."""
    for word in ("FATAL", "PANIC", "ERROR", "error", "Can't", "Failed", "No space"):
        for line in lines:
            if word in line:
                return line
    return lines[-1] if lines else "it said nothing"
