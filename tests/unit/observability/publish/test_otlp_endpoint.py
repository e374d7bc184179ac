"""Where OTLP goes, by the standard variables."""

from __future__ import annotations

import re

import pytest

from observability.publish.otlp import endpoint, warnings_of


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


_TO = "http://c:4318"
_PREFERENCE = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_METRIC_EXPORT_INTERVAL": "soon"}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": _TO, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": _TO, "OTEL_METRIC_EXPORT_INTERVAL": "500"}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": _TO, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["OTEL_EXPORTER_OTLP_PROTOCOL"]),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": _TO, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
            ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"],
        ),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "collector:4318"}, ["OTLP traces cannot be exported"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": _TO, _PREFERENCE: "lowmemory"}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": _TO, _PREFERENCE: "exotic"}, [f"{_PREFERENCE} is none of cumulative"]),
        *(
            (
                {"OTEL_EXPORTER_OTLP_ENDPOINT": _TO, "OTEL_METRIC_EXPORT_INTERVAL": unusable},
                ["OTEL_METRIC_EXPORT_INTERVAL"],
            )
            for unusable in ("soon", "0", "-1", "nan", "inf", "1e99")
        ),
    ],
)
def test_what_cannot_be_obeyed_is_named(environment: dict[str, str], names: list[str]) -> None:
    """A warning each for another protocol, an interval that is none and an endpoint that is no URL, and none where nothing is exported."""
    assert [re.split("[=,]", warning)[0] for warning in warnings_of(environment)] == names
