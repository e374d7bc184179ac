"""What counts as what, in one place, for figures and columns alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observability.model import CacheCounts, RouteCounts

_SERVER_ERROR = 500
OUR_FAULT = frozenset({"aborted", "truncated"})


def is_error(counts: RouteCounts) -> bool:
    """Return whether these requests failed by our fault: a 5xx, or a response that we did not give or finish.

    A client that left ("disconnected") and a 4xx are no errors of the service.
    """
    return counts.status >= _SERVER_ERROR or counts.error in OUR_FAULT


def is_answered(counts: RouteCounts) -> bool:
    """Return whether these requests got a response: only those have a latency."""
    return counts.status > 0


def is_internal(route: str, prefixes: Sequence[str]) -> bool:
    """Return whether a route is one of the console, health and the like, which the service's figures leave out."""
    return any(route == prefix or route.startswith(prefix + "/") for prefix in prefixes)


def lookups(cache: CacheCounts) -> int:
    """Return how many lookups a cache family had, whatever became of them."""
    return cache.hits + cache.misses + cache.coalesced + cache.errors


def share(part: float, whole: float) -> float | None:
    """Return part/whole, or None when there is no whole."""
    return part / whole if whole else None
