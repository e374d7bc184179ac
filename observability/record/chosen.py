"""Requests past Sanic that chance has chosen to be kept.

They are counted like all others, and only put down here when they end. To make a trace takes 50 us, three times as long
when it is done once in a hundred requests, out of every cache; so traces are made many at once, and whole only as many as
are kept a second. The others are brief: they are only exported, and that is a third of the work.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from observability.model import BriefKind, BriefTrace
from observability.record.anatomy import parts_of
from observability.record.current import REDIS, Current
from observability.record.requests import TIMED_EVERY

if TYPE_CHECKING:
    from collections.abc import Callable

    from observability.model.kept import AttributeValue
    from observability.record.recorder import Recorder
    from observability.record.requests import Series

    Attributes = Callable[[str, str], tuple[tuple[str, AttributeValue], ...]]
    _Chosen = tuple[Series, float, float, float, float, Attributes]

MOST_CHOSEN = 32
"""Requests that wait to be made traces of: those take a millisecond."""


class Chosen:
    """What was put down; ``keep`` it before anybody looks at what was kept."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._waiting: list[_Chosen] = []

    def add(
        self, series: Series, begin: float, asked: float, told: float, ended: float, attributes: Attributes
    ) -> None:
        """Put a request down, that waited for Redis from ``asked`` to ``told``; ``attributes`` of route and version say how it came."""
        self._waiting.append((series, begin, asked, told, ended, attributes))
        if len(self._waiting) >= MOST_CHOSEN:
            self.keep()

    def keep(self) -> None:
        """Make traces of what was put down."""
        waiting, self._waiting = self._waiting, []
        recorder, began = self._recorder, time.perf_counter()
        keeper, (name, about) = recorder.keeper, recorder.operations.read
        if not waiting or keeper is None:
            return
        briefly = 0 if keeper.brief_sink is None else len(waiting) - keeper.room("sampled")
        for series, begin, asked, told, ended, attributes in waiting[max(0, briefly) :]:
            request = Current(begin, None, recorder.sampling)
            request.lucky = True
            request.spend(REDIS, asked, told, name, "", about)
            parts = parts_of(request, ended, recorder.stalls)
            keeper.keep("sampled", series, request, ended - begin, parts, attributes(series.key[1], "1.1"))
        if briefly > 0:
            keeper.keep_briefly(self._briefly(waiting[:briefly]))
        recorder.note_cost((time.perf_counter() - began) / TIMED_EVERY, 0)

    def _briefly(self, waiting: list[_Chosen]) -> list[BriefTrace]:
        name, about = self._recorder.operations.read
        ids = self._recorder.sampling.lucky_ids(len(waiting))
        # The monotonic clock gives durations; the wall clock only places them.
        wall = time.time_ns() - time.perf_counter_ns()
        return [
            BriefTrace(
                BriefKind(*series.key[:3], attributes(series.key[1], "1.1"), name, about),
                own,
                (
                    wall + round(begin * 1e9),
                    wall + round(ended * 1e9),
                    wall + round(asked * 1e9),
                    wall + round(told * 1e9),
                ),
            )
            for own, (series, begin, asked, told, ended, attributes) in zip(ids, waiting, strict=True)
        ]
