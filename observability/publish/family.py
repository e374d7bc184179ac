"""What a family of metrics is, however it is encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observability.model import Distribution, Exemplar

Attributes = dict[str, str | int]

MEBI = 20
"""How often a mebibyte halves down to a byte."""


class Numbers(NamedTuple):
    """A family of numbers. A count only grows; a level may be added up over workers; of a gauge, a sum would be wrong."""

    name: str
    unit: str
    says: str
    kind: Literal["count", "level", "gauge"]
    points: list[tuple[Attributes, float]]


class Distributions(NamedTuple):
    """A family of distributions, and examples of what is in them by the position of the point.

    What is distributed is seconds, or whatever doubles ``doublings`` times from the family's unit: a histogram of
    mebibytes is one of bytes whose buckets are called by other numbers.
    """

    name: str
    says: str
    points: list[tuple[Attributes, Distribution]]
    exemplars: Sequence[tuple[Exemplar, ...]] = ()
    unit: Literal["s", "By"] = "s"
    doublings: int = 0


Family = Numbers | Distributions


def difference(whole: float, part: float) -> float:
    """Return what is left of seconds, to the nanosecond: the noise of floats would make a count that stands go back."""
    return max(0.0, round(whole - part, 9))


def count(name: str, unit: str, says: str, points: list[tuple[Attributes, float]]) -> Numbers:
    """Return a family of what only grows."""
    return Numbers(name, unit, says, "count", points)


def level(name: str, unit: str, says: str, points: list[tuple[Attributes, float]]) -> Numbers:
    """Return a family of what may be added up over workers."""
    return Numbers(name, unit, says, "level", points)


def gauge(name: str, unit: str, says: str, points: list[tuple[Attributes, float]]) -> Numbers:
    """Return a family of what must not be added up."""
    return Numbers(name, unit, says, "gauge", points)
