"""Looking at the service while it is under load: every few seconds what it tells Prometheus, kept in bounded room.

Nothing depends on it. A service that tells nothing is asked once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from loadgen.client import Connection
from loadgen.errors import TargetError
from loadgen.exposition import read_exposition
from loadgen.service_figures import Figures, ServiceFigures, ServiceSample
from loadgen.target import Target, parse_target

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

MOST_SAMPLES = 1440
"""Samples kept of a run; past them every other one is let go, and they are taken half as often."""

_LONGEST, _SHORTEST = 5.0, 1.0
_FEWEST = 20
_TIMEOUT = 5.0
_OK = 200


class Source(msgspec.Struct, frozen=True):
    """Where the service tells its figures."""

    target: Target
    path: str

    @property
    def url(self) -> str:
        """The address as a person writes it."""
        return f"{self.target.url}{self.path}"


def parse_source(text: str, target: Target) -> Source | None:
    """Read ``/path`` on the target, or a whole address; nothing, or ``none``, is nowhere. Raises TargetError for the rest."""
    if text in {"", "none"}:
        return None
    parts = urlsplit(text)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path:
        raise TargetError(f"--metrics {text!r} must look like /metrics or http://host:port/metrics, or be none")
    if not parts.scheme:
        return Source(target, path)
    return Source(parse_target(f"{parts.scheme}://{parts.netloc}"), path)


def interval(seconds: float) -> float:
    """Return how often to look during a run of this length: often enough for a short one, seldom enough to cost nothing."""
    return min(_LONGEST, max(_SHORTEST, seconds / _FEWEST))


class Samples:
    """Samples in order; when there are too many, every other one stays."""

    def __init__(self, every: float) -> None:
        self.every = every
        self.kept: list[ServiceSample] = []

    def add(self, sample: ServiceSample) -> None:
        """Keep a sample."""
        self.kept.append(sample)
        if len(self.kept) > MOST_SAMPLES:
            self.kept = self.kept[::2]
            self.every *= 2


class Watching:
    """Looks at a service until it is told that the run is over. ``clock`` is seconds since the run's start."""

    def __init__(self, source: Source, tls: ssl.SSLContext | None, every: float, clock: Callable[[], float]) -> None:
        self._source = source
        self._clock = clock
        self._connection = Connection(source.target, timeout=_TIMEOUT, tls=tls)
        self._samples = Samples(every)
        self._fault = ""
        self._task = asyncio.create_task(self._run())

    async def end(self) -> ServiceFigures:
        """Look once more and return everything."""
        self._task.cancel()
        await asyncio.wait([self._task])
        self._connection.close()
        if self._samples.kept:
            await self._look()
            self._connection.close()
        return ServiceFigures(self._source.url, self._samples.every, tuple(self._samples.kept), self._fault)

    async def _run(self) -> None:
        await self._look()
        while self._samples.kept:
            await asyncio.sleep(self._samples.every)
            await self._look()

    async def _look(self) -> None:
        figures = await self._ask()
        if figures:
            self._samples.add(ServiceSample(max(0.0, self._clock()), figures))

    async def _ask(self) -> dict[str, Figures]:
        source = self._source
        request = (
            f"GET {source.path} HTTP/1.1\r\nHost: {source.target.authority}\r\n"
            "Accept: text/plain;version=0.0.4\r\nUser-Agent: loadgen\r\n\r\n"
        )
        answer = await self._connection.exchange(request.encode())
        if answer.failure or answer.status != _OK:
            self._fault = f"GET {source.url}: {answer.detail or answer.failure or f'answered {answer.status}'}"
            return {}
        figures = read_exposition(answer.body.decode("utf-8", "replace"))
        if not figures:
            self._fault = f"GET {source.url}: none of the figures that are looked for"
        return figures
