"""What happened to the fleet, in bounded memory: blocked event loops, workers that were replaced, new releases."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from observability.read.detail import Annotation, BlockedView

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observability.model import Blocked, Snapshot

MOST_BLOCKED = 500
"""Blocked loops remembered at most, the newest of them."""

MOST_REPLACED = 200

MOST_RELEASES = 50

TOGETHER = 10.0
"""Seconds within which the workers of an instance that is starting start."""

UNHEARD = 15.0
"""Seconds for which an instance may not have been heard when a worker of it is replaced; past it the instance was away."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(BlockedView)


class Chronicle:
    """Filled from snapshots in the order in which they come; what is told again changes nothing."""

    def __init__(self) -> None:
        self._blocked: dict[tuple[str, int], bytes] = {}
        self._replaced: deque[Annotation] = deque(maxlen=MOST_REPLACED)
        self._releases: dict[str, float] = {}
        """Each release, and when its first worker started."""

    def hear(self, snapshot: Snapshot) -> None:
        """Note what a snapshot tells."""
        for blocked in snapshot.blocked:
            if (snapshot.worker, blocked.number) not in self._blocked and _sound(blocked):
                self._block(snapshot, blocked)
        if snapshot.release:
            first = min(self._releases.get(snapshot.release, math.inf), snapshot.started)
            self._releases[snapshot.release] = first
            if len(self._releases) > MOST_RELEASES:
                del self._releases[min(self._releases, key=lambda release: self._releases[release])]

    def meet(self, snapshot: Snapshot, siblings: Iterable[Snapshot]) -> None:
        """Note a worker that is heard for the first time, beside the last that was heard of its instance's others."""
        began = snapshot.started
        if any(other.started < began - TOGETHER and other.taken > began - UNHEARD for other in siblings):
            text = f"a worker of {snapshot.instance} was replaced, it is process {snapshot.pid} now"
            self._replaced.append(Annotation(began, "worker", text))

    def blocked(self, begin: float, end: float) -> tuple[BlockedView, ...]:
        """Return what blocked a loop in this time, newest first."""
        known = (_decoder.decode(raw) for raw in self._blocked.values())
        within = [blocked for blocked in known if begin < blocked.at <= end]
        return tuple(sorted(within, key=lambda blocked: blocked.at, reverse=True))

    def annotations(self) -> tuple[Annotation, ...]:
        """Return replacements and deploys. The release that was there first was not deployed in our time."""
        _, *later = sorted(self._releases, key=lambda release: self._releases[release]) or [""]
        deploys = (Annotation(self._releases[release], "deploy", f"release {release}") for release in later)
        return (*self._replaced, *deploys)

    def _block(self, snapshot: Snapshot, blocked: Blocked) -> None:
        view = BlockedView(
            blocked.at,
            blocked.seconds,
            blocked.function,
            blocked.stack,
            blocked.delayed,
            snapshot.instance,
            snapshot.worker,
        )
        self._blocked[snapshot.worker, blocked.number] = _encoder.encode(view)
        if len(self._blocked) > MOST_BLOCKED:
            del self._blocked[next(iter(self._blocked))]


def _sound(blocked: Blocked) -> bool:
    return math.isfinite(blocked.at) and math.isfinite(blocked.seconds)
