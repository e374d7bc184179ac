"""Which kept traces are asked for, as an address or a form says it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from console.format import threshold
from observability.read.detail import TraceFilter

if TYPE_CHECKING:
    from console.pages.page import Ask

WHY = ("slow", "failed", "sampled", "asked")
STATUSES = {"2xx": "2xx", "3xx": "3xx", "4xx": "4xx", "5xx": "5xx", "0": "none sent"}
ARGUMENTS = ("least", "most", "since", "to")
"""What narrows duration and time: the bounds of a brush on a heatmap, too."""

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(us|µs|ms|s)?")
_UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_MINUTE = len("2026-11-22T20:17")


class Bounds(msgspec.Struct, frozen=True):
    """Seconds that a request took, and Unix seconds between which it was served; None is no bound."""

    least: float | None = None
    most: float | None = None
    since: float | None = None
    to: float | None = None

    @property
    def given(self) -> bool:
        """Whether there is any bound."""
        return any(bound is not None for bound in msgspec.structs.astuple(self))

    def written(self) -> dict[str, str]:
        """Write them as a form's inputs have them, nothing where there is none."""
        return {
            "least": "" if self.least is None else threshold(self.least),
            "most": "" if self.most is None else threshold(self.most),
            "since": "" if self.since is None else _local(self.since),
            "to": "" if self.to is None else _local(self.to),
        }


def bounds(ask: Ask) -> Bounds:
    """Read the bounds; what cannot be read bounds nothing."""
    return Bounds(
        read_duration(ask.get("least")),
        read_duration(ask.get("most")),
        read_moment(ask.get("since")),
        read_moment(ask.get("to")),
    )


def misread(ask: Ask) -> frozenset[str]:
    """Name the bounds that were written but cannot be read."""
    read = bounds(ask)
    return frozenset(name for name in ARGUMENTS if ask.get(name).strip() and getattr(read, name) is None)


def trace_filter(ask: Ask, limit: int) -> TraceFilter:
    """Read a whole filter. Without a ``to``, the time that is held on every page is where it ends."""
    within = bounds(ask)
    return TraceFilter(
        method=ask.get("method"),
        route=ask.get("route"),
        status=ask.get("status"),
        why=ask.get("why"),
        least=within.least,
        most=within.most,
        since=within.since,
        until=within.to if within.to is not None else ask.period.until,
        limit=limit,
    )


def read_duration(text: str) -> float | None:
    """Read ``150 ms``, ``1.5 s``, ``743us``, or bare seconds."""
    found = _DURATION.fullmatch(text.strip().replace(",", ""))
    return float(found[1]) * _UNITS[found[2] or "s"] if found else None


def read_moment(text: str) -> float | None:
    """Read Unix seconds, or a date and time in UTC as forms write it: ``2026-11-22T20:17:31``."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= 11 else None  # noqa: PLR2004 - no moment that is meant has more digits
    if len(text) < _MINUTE:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) or None


def _local(unix: float) -> str:
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%dT%H:%M:%S}"
