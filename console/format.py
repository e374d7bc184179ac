"""Figures as people read them: one unit chosen per value, three significant digits, a dash for what is not known.

Number and unit are always parted by one space, so that a template can set the unit smaller.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

MISSING = "\N{EN DASH}"
"""Stands for a figure that is not known; never zero."""

_KIB = 1024


def _digits(value: float) -> str:
    """Write a positive number with three significant digits, and with whole digits from 100 on."""
    if value >= 99.95:  # noqa: PLR2004 - from here two digits before the point would round to three
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"  # noqa: PLR2004 - the same for one digit


def duration(seconds: float | None) -> str:
    """Write seconds: ``743 µs``, ``12.4 ms``, ``1.23 s``, ``2 min 05 s``."""
    if seconds is None:
        return MISSING
    if seconds <= 0:
        return "0 ms"
    if seconds < 999.5e-6:  # noqa: PLR2004 - the last value that does not round to 1,000 µs
        return f"{max(seconds * 1e6, 1):.0f} µs"
    if seconds < 999.5e-3:  # noqa: PLR2004 - the last value that does not round to 1,000 ms
        return f"{_digits(seconds * 1e3)} ms"
    if seconds < 119.5:  # noqa: PLR2004 - up to two minutes are read as seconds
        return f"{_digits(seconds)} s"
    return span(seconds)


def threshold(seconds: float | None) -> str:
    """Write a duration that somebody chose, without digits it does not have: ``200 ms``, ``1.5 s``."""
    if seconds is None:
        return MISSING
    return f"{seconds * 1e3:.4g} ms" if seconds < 1 else f"{seconds:.4g} s"


def span(seconds: float) -> str:
    """Write how long something goes on, in whole seconds: ``45 s``, ``5 min``, ``2 min 05 s``, ``3 h 20 min``, ``2 d 4 h``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days} d {hours_left} h" if hours_left else f"{days} d"
    if hours:
        return f"{hours} h {minutes_left:02d} min" if minutes_left else f"{hours} h"
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"


def rate(per_second: float | None) -> str:
    """Write a rate: ``0 /s``, ``0.25 /s``, ``16.7 /s``, ``1.2 k/s``, ``3.4 M/s``."""
    if per_second is None:
        return MISSING
    if per_second <= 0:
        return "0 /s"
    for size, prefix in ((1e6, "M"), (1e3, "k")):
        if per_second >= size * 0.9995:
            value = per_second / size
            return f"{value:,.0f} {prefix}/s" if value >= 99.95 else f"{value:.1f} {prefix}/s"  # noqa: PLR2004 - as in _digits
    return f"{_digits(per_second)} /s"


def share(part: float | None) -> str:
    """Write a share of one in per cent. Only 0 and 1 are shown as 0 and 100: ``< 0.1 %``, ``> 99.9 %``."""
    if part is None:
        return MISSING
    if part <= 0:
        return "0 %"
    if part >= 1:
        return "100 %"
    percent = f"{part * 100:.1f}"
    if percent == "0.0":
        return "< 0.1 %"
    return "> 99.9 %" if percent == "100.0" else f"{percent} %"


def size(octets: float | None) -> str:
    """Write bytes: ``512 B``, ``48.2 MiB``, ``1.50 GiB``."""
    if octets is None:
        return MISSING
    if octets < _KIB:
        return f"{octets:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        octets /= _KIB
        if octets < _KIB:
            return f"{_digits(octets)} {unit}"
    return f"{_digits(octets / _KIB)} TiB"


def count(number: float | None) -> str:
    """Write a number of things: ``12,345``, and ``0.4`` only when it is not whole and small."""
    if number is None:
        return MISSING
    return f"{number:,.1f}" if number < 10 and number != int(number) else f"{number:,.0f}"  # noqa: PLR2004 - one digit


def sentence(clause: str) -> str:
    """Make a clause stand alone: a capital first, but for the name of a percentile, and a full stop last."""
    first = clause[:1] if re.match(r"p\d", clause) else clause[:1].upper()
    return first + clause[1:].rstrip(".") + "." if clause else ""


def clock(unix: float | None) -> str:
    """Write a moment's time of day in UTC: ``20:17:31``."""
    return MISSING if unix is None else f"{datetime.fromtimestamp(unix, UTC):%H:%M:%S}"


def moment(unix: float) -> str:
    """Write a moment for machines (RFC 3339): ``2026-11-22T20:17:31Z``."""
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%dT%H:%M:%SZ}"
