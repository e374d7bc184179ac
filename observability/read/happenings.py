"""What happened, to be marked in charts: what was noted, and each time that an alert fired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observability.read.detail import Annotation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from observability.read.view import Transition


def happened(
    noted: Iterable[Annotation], transitions: Iterable[Transition], begin: float, end: float
) -> tuple[Annotation, ...]:
    """Return what happened, or still went on, between ``begin`` and ``end``, oldest first."""
    every = {*noted, *fired(transitions, end)}
    within = (one for one in every if one.at <= end and (one.at if one.until is None else one.until) > begin)
    return tuple(sorted(within, key=lambda one: (one.at, one.kind, one.text)))


def fired(transitions: Iterable[Transition], now: float) -> Iterator[Annotation]:
    """Yield each time that an alert fired, until it was resolved, or until ``now``."""
    ended: dict[tuple[str, str], float] = {}
    for change in sorted(transitions, key=lambda change: change.at, reverse=True):
        key = (change.rule, change.subject)
        if change.state == "firing":
            text = f"alert {change.rule} {change.subject}".strip()
            yield Annotation(change.at, "alert", f"{text}: {change.reason}", max(change.at, ended.pop(key, now)))
        elif change.was == "firing":
            ended[key] = change.at
