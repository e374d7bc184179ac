"""Request series: counted exactly, and never more of them than the bound."""

from __future__ import annotations

from observability.record.requests import RequestSeries


def test_every_request_is_counted_past_the_bound() -> None:
    """Ten thousand combinations make no more series than the bound and its overflow, and lose no request."""
    series = RequestSeries(most=50)
    for n in range(10_000):
        series.record("GET", f"/r{n}", 500 if n % 10 == 0 else 200, "", 0.01)
    frozen = series.freeze()
    assert len(frozen) == 52
    assert sum(counts.duration.count for counts in frozen) == 10_000
    other = {counts.status: counts.duration.count for counts in frozen if counts.route == "(other)"}
    assert other == {200: 8955, 500: 995}


def test_a_series_that_did_not_move_is_not_frozen_again() -> None:
    """Freezing costs only what changed since the last time."""
    series = RequestSeries()
    series.record("GET", "/a", 200, "", 0.01)
    series.record("GET", "/b", 200, "", 0.01)
    first = series.freeze()
    series.record("GET", "/b", 200, "", 0.01)
    second = series.freeze()
    assert second[0].duration is first[0].duration
    assert (first[1].duration.count, second[1].duration.count) == (1, 2)
