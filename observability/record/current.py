"""The request that is being served: what it waits for is told here, and finds its way into its anatomy and its trace.

Whatever serves a request runs in a context in which ``current`` is set; tasks that it starts inherit it. What they tell
after the request has ended is nobody's.
"""

from __future__ import annotations

import random
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import msgspec
from multidict import istr

from observability.model.kept import AttributeValue, KeptLog
from observability.record.trace import HeadSampling, Trace, parse_traceparent

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOP, HASH_WAIT, HASH, POOL_WAIT, SQL, REDIS = range(6)
"""Positions in ``model.PARTS``."""

MOST_CHILDREN = 256
"""Waits that one request remembers singly; what follows is only summed up, and counted in ``dropped``."""

Child = tuple[int, str, float, float, str, "tuple[tuple[str, AttributeValue], ...]"]
"""Part, name, begin, end, error, attributes."""


_NO_PARTS = [0.0] * 6

_TRACEPARENT = istr("traceparent")


class Current(msgspec.Struct, eq=False):
    """One request on its way. Times are those of ``time.perf_counter``.

    Its identity is made when first asked for and the same ever after; a request that nobody asks for it has none.
    ``headers`` has ``getall(name, default)``, None for a request without any that could be read.
    """

    begin: float
    headers: Any
    sampling: HeadSampling
    dropped: int = 0
    overlapping: bool = False
    """Whether it may have waited for two things at once."""
    ended: bool = False
    busy: float = 0.0
    """The end of its latest wait."""
    lucky: bool | None = None
    """What chance says of it, if it was asked already; it decides only where there is no caller."""
    _trace: Trace | None = None
    _span_id: str = ""
    _sampled: bool | None = None
    _parts: list[float] | None = None
    _children: list[Child] | None = None
    _logs: list[KeptLog] | None = None
    _attributes: dict[str, AttributeValue] | None = None
    _spans: list[Any] | None = None

    @property
    def parts(self) -> list[float]:
        """Seconds that it waited, by part."""
        if self._parts is None:
            self._parts = _NO_PARTS.copy()
        return self._parts

    @property
    def children(self) -> list[Child]:
        """Its waits, one by one."""
        if self._children is None:
            self._children = []
        return self._children

    @property
    def logs(self) -> list[KeptLog]:
        """What was logged meanwhile, for whoever makes logs of it; bounded by them."""
        if self._logs is None:
            self._logs = []
        return self._logs

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        """What user code says of the request; bounded by whoever takes it."""
        if self._attributes is None:
            self._attributes = {}
        return self._attributes

    @property
    def spans(self) -> list[Any]:
        """Finished spans of user code (``ReadableSpan``), for whoever makes such; bounded by them."""
        if self._spans is None:
            self._spans = []
        return self._spans

    @property
    def trace(self) -> Trace:
        """What it belongs to: the caller's trace (W3C traceparent), else a random one."""
        if self._trace is None:
            self._trace = self.caller() or self.sampling.new_trace(sampled=self._is_lucky())
        return self._trace

    @property
    def span_id(self) -> str:
        """Its own span's id, 16 lowercase hex digits."""
        if not self._span_id:
            self._span_id = f"{random.getrandbits(64) or 1:016x}"  # unguessable it need not be
        return self._span_id

    @property
    def sampled(self) -> bool:
        """Whether it is to be kept whatever becomes of it: as its caller decided, or by chance."""
        if self._sampled is None:
            self._trace = self._trace or self.caller()
            self._sampled = self.sampling.decides(self._trace) if self._trace is not None else self._is_lucky()
        return self._sampled

    def only_redis(self, ended: float) -> float:
        """Return the seconds that Redis took, if nothing more is to be said of a request that ended; else -1."""
        if self._trace is not None or self.lucky is not None or _TRACEPARENT in self.headers:
            return -1.0
        if not self.busy:
            return 0.0
        redis = self.parts[REDIS]
        return redis if not self.overlapping and self.busy <= ended and sum(self.parts) <= redis else -1.0

    def adopt(self, trace: Trace | None) -> None:
        """Take an identity that was made before."""
        self._trace = trace

    def caller(self) -> Trace | None:
        """Return what the caller says that it belongs to."""
        found: Sequence[str] = self.headers.getall("traceparent", ()) if self.headers is not None else ()
        return parse_traceparent(found[0]) if len(found) == 1 else None

    def spend(
        self,
        part: int,
        begin: float,
        end: float,
        name: str = "",
        error: str = "",
        attributes: tuple[tuple[str, AttributeValue], ...] = (),
    ) -> None:
        """Note a wait, as ``spend`` does."""
        if begin < self.busy:
            self.overlapping = True
        self.busy = max(self.busy, end)
        self.parts[part] += end - begin
        if len(self.children) < MOST_CHILDREN:
            self.children.append((part, name, begin, end, error, attributes))
        else:
            self.dropped += 1

    def _is_lucky(self) -> bool:
        if self.lucky is None:
            self.lucky = self.sampling.chance()
        return self.lucky


current: ContextVar[Current | None] = ContextVar("observability_request", default=None)


def spend(
    part: int,
    begin: float,
    end: float,
    name: str = "",
    error: str = "",
    attributes: tuple[tuple[str, AttributeValue], ...] = (),
) -> None:
    """Tell the request that is being served, if one is, what it waited for; with a ``name`` it is a span of a kept trace."""
    request = current.get()
    if request is not None and not request.ended:
        request.spend(part, begin, end, name, error, attributes)
