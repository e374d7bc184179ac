"""Requests counted by method, route, status and error, with a bound on how many such series there can be."""

from __future__ import annotations

from observability.model import Distribution, Histogram, RouteCounts

MOST_SERIES = 500
"""Past this many series a new combination is counted in the overflow series, by the class of its status alone."""

OVERFLOW_ROUTE = "(other)"
OTHER_METHOD = "_OTHER"
"""OpenTelemetry's word for a method that is none of the known ones."""

KNOWN_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})

_Key = tuple[str, str, int, str]


class RequestSeries:
    """One histogram of durations for each (method, route, status, error), split at ``bounds`` (seconds)."""

    def __init__(self, most: int = MOST_SERIES, bounds: tuple[float, ...] = ()) -> None:
        self._most = most
        self._bounds = bounds
        self._series: dict[_Key, Histogram] = {}
        self._frozen: dict[_Key, tuple[float, Distribution]] = {}

    def record(self, method: str, route: str, status: int, error: str, seconds: float) -> None:
        """Count one request; ``route`` is a template and ``error`` a short code, both from a small set."""
        series = self._series.get((method, route, status, error))
        if series is None:
            series = self._open((method, route, status, error))
        series.record(seconds)

    def freeze(self) -> tuple[RouteCounts, ...]:
        """Return every series as a value; a series that did not move since the last call costs nothing."""
        return tuple(RouteCounts(*key, self._freeze_one(key, series)) for key, series in self._series.items())

    def _open(self, key: _Key) -> Histogram:
        if len(self._series) >= self._most:
            # The class of the status is kept, so that errors stay errors: five series at most.
            key = (OTHER_METHOD, OVERFLOW_ROUTE, key[2] // 100 * 100, "")
        known = self._series.get(key)
        if known is None:
            known = self._series[key] = Histogram()
            known.split_at(self._bounds)
        return known

    def _freeze_one(self, key: _Key, series: Histogram) -> Distribution:
        known = self._frozen.get(key)
        if known is not None and known[0] == series.total:
            return known[1]
        frozen = series.freeze()
        self._frozen[key] = (series.total, frozen)
        return frozen
