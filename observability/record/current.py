"""The request that is being served: what it waits for is told here, and finds its way into its anatomy and its trace.

Whatever serves a request runs in a context in which ``current`` is set; tasks that it starts inherit it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from observability.model.kept import AttributeValue

LOOP, HASH_WAIT, HASH, POOL_WAIT, SQL, REDIS = range(6)
"""Positions in ``model.PARTS``."""


class Current:
    """One request on its way. Times are those of ``time.perf_counter``."""

    __slots__ = ("children", "parts")

    def __init__(self) -> None:
        self.parts = [0.0] * 6
        self.children: list[tuple[int, str, float, float, str, tuple[tuple[str, AttributeValue], ...]]] = []


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
    if request is not None:
        request.parts[part] += end - begin
        if name:
            request.children.append((part, name, begin, end, error, attributes))
