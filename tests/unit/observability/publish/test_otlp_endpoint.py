"""Where OTLP goes, by the standard variables."""

from __future__ import annotations

import pytest

from observability.publish.otlp import endpoint


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:1/own"}, "http://c:1/own"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:1/own"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, None),
    ],
)
def test_the_traces_endpoint(environment: dict[str, str], expected: str | None) -> None:
    """The signal's own variable stands as it is, the general one gets the path, "none" turns the signal off."""
    assert endpoint(environment, "traces") == expected
