"""Two load runs side by side: a table of differences, what they say in words, and both runs on one axis."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Literal

import msgspec

from console.format import MISSING, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.ports import Comparison, LoadColumns
    from console.tuning import Difference

MINUS = "\N{MINUS SIGN}"
WIDEST = 1.0
"""The share of the former figure, either way, at which the bar of an interval ends."""


class Row(msgspec.Struct, frozen=True):
    """A difference as it is shown. ``rows`` is how many of its endpoint follow, itself included; 0 when it is not the first.

    ``bar`` is where the interval begins and how wide it is, in per cent of a bar whose middle is "no difference".
    """

    endpoint: str
    rows: int
    percentile: str
    before: float | None
    after: float | None
    change: str
    interval: str
    share: str
    bar: tuple[float, float] | None
    word: str
    tone: Literal["good", "bad", "faint", "none"]


def rows_of(comparison: Comparison) -> tuple[Row, ...]:
    """Lay a comparison out, endpoint by endpoint."""
    made = []
    for _, group in groupby(comparison.differences, key=lambda each: each.endpoint):
        of_endpoint = list(group)
        made += [_row(each, 0 if n else len(of_endpoint)) for n, each in enumerate(of_endpoint)]
    return tuple(made)


def said_of(comparison: Comparison) -> str:
    """Say what is certain of two runs, in a sentence."""
    if comparison.refusal:
        return comparison.refusal
    found = comparison.differences
    if not found:
        return "There is nothing in them to compare."
    slower, faster = (_named([each for each in found if _moved(each) == way]) for way in ("slower", "faster"))
    few = sum(each.judgement == "too few" for each in found)
    said = [f"{way} in the second run: {names}" for way, names in (("Slower", slower), ("Faster", faster)) if names]
    sentences = said or ["No difference is more than noise"]
    if few:
        sentences.append(f"Of {few} of {len(found)} figures there are too few requests to say")
    return ". ".join(sentences) + "."


def signed(seconds: float | None) -> str:
    """Write a difference of durations with its sign: ``+12.0 ms``."""
    if seconds is None:
        return MISSING
    sign = "+" if seconds > 0 else MINUS if seconds < 0 else ""
    return f"{sign}{duration(abs(seconds))}"


def overlaid(before: LoadColumns, after: LoadColumns) -> dict[str, list[float | None]]:
    """Lay the percentiles of two runs over each other, by seconds since each began."""
    ats = sorted({*before.at, *after.at})
    columns: dict[str, list[float | None]] = {"at": list(ats)}
    for run, of_run in (("before", before), ("after", after)):
        for name in ("p50", "p95", "p99"):
            known = dict(zip(of_run.at, getattr(of_run, name), strict=False))
            columns[f"{run}_{name}"] = [short(known.get(at)) for at in ats]
    return columns


def short(value: float | None) -> float | None:
    """Round to four significant digits, more than a chart can show."""
    return None if value is None else float(f"{value:.4g}")


def _row(each: Difference, rows: int) -> Row:
    change = None if each.before is None or each.after is None else each.after - each.before
    share = change / each.before if change is not None and each.before else None
    bounds = (each.low, each.high)
    way = _moved(each)
    return Row(
        endpoint=each.endpoint,
        rows=rows,
        percentile=each.percentile,
        before=each.before,
        after=each.after,
        change=signed(change),
        interval="" if None in bounds else f"{signed(each.low)} to {signed(each.high)}",
        share="" if share is None else _per_cent(share),
        bar=_bar(each),
        word=way or each.judgement,
        tone="bad" if way == "slower" else "good" if way == "faster" else "faint" if _few(each) else "none",
    )


def _few(each: Difference) -> bool:
    return each.judgement == "too few"


def _moved(each: Difference) -> str:
    """Return which way a figure moved for certain, or nothing."""
    if each.judgement != "real" or each.before is None or each.after is None:
        return ""
    return "slower" if each.after > each.before else "faster"


def _named(found: Sequence[Difference]) -> str:
    return ", ".join(
        f"{endpoint} ({', '.join(each.percentile for each in group)})"
        for endpoint, group in groupby(found, key=lambda each: each.endpoint)
    )


def _per_cent(share: float) -> str:
    sign = "+" if share > 0 else MINUS if share < 0 else ""
    return f"{sign}{abs(share) * 100:,.0f} %"


def _bar(each: Difference) -> tuple[float, float] | None:
    if not each.before or each.low is None or each.high is None:
        return None
    low, high = (min(max(bound / each.before, -WIDEST), WIDEST) for bound in (each.low, each.high))
    begin = 50 * (1 + low / WIDEST)
    return round(min(begin, 99), 2), round(max(50 * (high - low) / WIDEST, 1), 2)
