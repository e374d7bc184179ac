"""Figures as people read them."""

from __future__ import annotations

import pytest

from console import format as shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, shown.MISSING),
        (0.0, "0 ms"),
        (3e-7, "1 µs"),
        (743e-6, "743 µs"),
        (0.0009996, "1.00 ms"),
        (0.0124, "12.4 ms"),
        (0.312, "312 ms"),
        (0.9996, "1.00 s"),
        (1.234, "1.23 s"),
        (12.34, "12.3 s"),
        (125.0, "2 min 05 s"),
    ],
)
def test_a_duration_takes_its_own_unit(seconds: float | None, text: str) -> None:
    """A duration has three significant digits in the unit that fits it, and never 1,000 of a smaller one."""
    assert shown.duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(None, shown.MISSING), (0.2, "200 ms"), (0.005, "5 ms"), (1.5, "1.5 s")])
def test_a_threshold_has_only_the_digits_that_were_chosen(seconds: float | None, text: str) -> None:
    """A target of 200 ms is not shown as if it had been measured."""
    assert shown.threshold(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (None, shown.MISSING),
        (0.0, "0 /s"),
        (0.25, "0.25 /s"),
        (16.68, "16.7 /s"),
        (312.4, "312 /s"),
        (999.7, "1.0 k/s"),
        (1234.0, "1.2 k/s"),
        (123_456.0, "123 k/s"),
        (3_400_000.0, "3.4 M/s"),
    ],
)
def test_a_rate_is_scaled(per_second: float | None, text: str) -> None:
    """A rate is scaled by thousands."""
    assert shown.rate(per_second) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (None, shown.MISSING),
        (0.0, "0 %"),
        (0.0001, "< 0.1 %"),
        (0.994, "99.4 %"),
        (0.99999, "> 99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_a_share_is_rounded_to_neither_end(part: float | None, text: str) -> None:
    """Only none is shown as 0 % and only all as 100 %."""
    assert shown.share(part) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [(None, shown.MISSING), (512, "512 B"), (48 << 20, "48.0 MiB"), (3 << 29, "1.50 GiB"), (5 << 40, "5.00 TiB")],
)
def test_bytes_are_scaled_by_1024(octets: float | None, text: str) -> None:
    """Bytes are shown in binary units."""
    assert shown.size(octets) == text


@pytest.mark.parametrize(("number", "text"), [(None, shown.MISSING), (0, "0"), (0.4, "0.4"), (12_345, "12,345")])
def test_a_count_is_grouped(number: float | None, text: str) -> None:
    """Thousands are grouped; a fraction is shown only where it matters."""
    assert shown.count(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(45, "45 s"), (300, "5 min"), (12_000, "3 h 20 min"), (187_200, "2 d 4 h")]
)
def test_a_span_is_told_in_whole_units(seconds: float, text: str) -> None:
    """A span names its two largest units."""
    assert shown.span(seconds) == text


def test_a_moment_is_told_in_utc() -> None:
    """Moments are UTC, whatever the zone of the server."""
    assert shown.clock(1_795_378_651) == "20:17:31"
    assert shown.moment(1_795_378_651) == "2026-11-22T20:17:31Z"
