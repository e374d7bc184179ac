"""Durations and shares as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadgen.intervals import Interval

_MS, _US = 1e-3, 1e-6
_MINUTE = 60


def duration(seconds: float | None) -> str:
    """Return seconds with three significant digits in the unit that fits: 743 us, 12.4 ms, 1.2 s; a dash for None."""
    if seconds is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", _MS)):
        if seconds >= size * 0.9995:  # 0.9996 ms is read as 1 ms, not as 1000 us
            return f"{_three_digits(seconds / size)} {unit}"
    return f"{seconds / _US:.0f} us"


def span(interval: Interval | None) -> str:
    """Return an interval, with its unit once where both ends have the same: 22.9-24.4 ms, 950 us-1.2 ms, 12 ms or more."""
    if interval is None:
        return "-"
    low = duration(interval.low)
    if interval.high is None:
        return f"{low} or more"
    high = duration(interval.high)
    number, unit = low.split()
    return f"{number if high.endswith(f' {unit}') else low}-{high}"


def share(part: float) -> str:
    """Return a share in percent, with two digits where it is small: 0.032 %, 1.5 %, 40 %."""
    return f"{part * 100:.2g} %" if part < 0.0995 else f"{part:.0%}".replace("%", " %")  # noqa: PLR2004 - from here on .2g rounds too much


def clock_time(seconds: float) -> str:
    """Return seconds as minutes and seconds, 4:05, or with hours, 1:04:05."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value < 99.95 else f"{value:.0f}"  # noqa: PLR2004 - from here on .3g turns to exponents
