"""Trace identity: a traceparent is read strictly, the sampler is the one that is named."""

from __future__ import annotations

import logging

import pytest

from observability.record.trace import (
    HeadSampling,
    Trace,
    head_sampling,
    new_trace,
    parse_traceparent,
    sampler_from,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"  00-{TRACE}-{SPAN}-03\t", True),
        (f"01-{TRACE}-{SPAN}-01-later-versions-may-say-more", True),
    ],
)
def test_a_valid_header_names_the_trace(header: str, sampled: bool) -> None:
    """The ids and the caller's decision are taken from a valid header."""
    trace = parse_traceparent(header)
    assert trace is not None
    assert (trace.trace_id, trace.parent, trace.sampled) == (TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-0g",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_an_invalid_header_is_ignored(header: str) -> None:
    """Anything the W3C recommendation does not allow is as if it were not there."""
    assert parse_traceparent(header) is None


def test_new_traces_differ() -> None:
    """Without a caller every request gets an id of its own."""
    assert len({new_trace().trace_id for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("name", "argument", "description"),
    [
        ("", "", "ParentBased{root:TraceIdRatioBased{0.01}"),
        ("always_off", "", "AlwaysOffSampler"),
        ("traceidratio", "0.25", "TraceIdRatioBased{0.25}"),
        ("parentbased_traceidratio", "0.5", "ParentBased{root:TraceIdRatioBased{0.5}"),
    ],
)
def test_the_named_sampler_is_the_sdks(name: str, argument: str, description: str) -> None:
    """OTEL_TRACES_SAMPLER and its argument choose among the SDK's own samplers."""
    sampler = sampler_from({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})
    assert sampler.get_description().startswith(description)


def test_an_unusable_sampler_is_the_default(caplog: pytest.LogCaptureFixture) -> None:
    """A name or ratio that cannot be used is said by one worker; a sampler is then the default, a ratio everything."""
    with caplog.at_level(logging.WARNING):
        head_sampling({"OTEL_TRACES_SAMPLER": "sometimes"}, warn=False)
        head_sampling({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "7"}, warn=False)
        assert "{0.01}" in sampler_from({"OTEL_TRACES_SAMPLER": "sometimes"}).get_description()
        ratio = sampler_from({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "7"})
    assert ratio.get_description() == "TraceIdRatioBased{1.0}"
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("name", "argument", "sampling"),
    [
        ("", "", HeadSampling(0.01, parents=True)),
        ("always_on", "", HeadSampling(1.0, parents=False)),
        ("always_off", "", HeadSampling(0.0, parents=False)),
        ("parentbased_always_on", "", HeadSampling(1.0, parents=True)),
        ("parentbased_always_off", "", HeadSampling(0.0, parents=True)),
        ("traceidratio", "0.25", HeadSampling(0.25, parents=False)),
        ("parentbased_traceidratio", "0.5", HeadSampling(0.5, parents=True)),
    ],
)
def test_what_is_decided_at_the_beginning_is_what_the_sampler_says(
    name: str, argument: str, sampling: HeadSampling
) -> None:
    """Each sampler of the standard is a ratio, and whether the caller is obeyed."""
    assert head_sampling({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}) == sampling


@pytest.mark.parametrize("sampled", [True, False])
def test_a_new_identity_agrees_with_what_was_decided(sampled: bool) -> None:
    """Whoever samples by the trace id in the same ratio decides as we did."""
    sampling = HeadSampling(0.3, parents=False)
    assert all(sampling.decides(sampling.new_trace(sampled=sampled)) is sampled for _ in range(200))


def test_the_caller_is_obeyed_where_parents_are() -> None:
    """With a ratio of all, a caller's no is a no only to a sampler that asks parents."""
    trace = Trace(TRACE, SPAN, sampled=False)
    assert not HeadSampling(1.0, parents=True).decides(trace)
    assert HeadSampling(1.0, parents=False).decides(trace)
