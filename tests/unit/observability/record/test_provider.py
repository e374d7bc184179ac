"""Spans of user code belong to the request that is being served, and what its own span is told reaches it."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from sanic.compat import Header

from observability.model.kept import MOST_SPANS
from observability.record import provider
from observability.record.current import Current
from observability.record.propagation import Propagation
from observability.record.provider import MOST_ATTRIBUTES, enter
from observability.record.trace import HeadSampling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_tracer = trace.get_tracer("shop")


@pytest.fixture
def outside() -> Iterator[list[Any]]:
    """Join the process's spans; return those that belong to no request."""
    sent: list[Any] = []
    provider.join(Resource.create({}), ALWAYS_ON, sent.append)
    yield sent
    provider.leave()


def served(do: Callable[[], object], *headers: tuple[str, str], names: str = "", ratio: float = 0.0) -> Current:
    """Do something while a request with these headers is served; return the request."""
    request = Current(0.0, Header(list(headers)), HeadSampling(ratio=ratio))

    def serve() -> None:
        enter(request, Propagation(names))
        do()

    contextvars.Context().run(serve)
    return request


def nest() -> None:
    """Make a span in a span."""
    with _tracer.start_as_current_span("outer") as outer:
        outer.set_attribute("items", 3)
        with _tracer.start_as_current_span("inner"):
            pass


def test_spans_nest_under_the_request(outside: list[Any]) -> None:
    """Ids say so, and a request that was not sampled has them just as well: it may yet be kept."""
    request = served(nest)
    inner, outer = request.spans
    assert inner.parent.span_id == outer.context.span_id
    assert f"{outer.parent.span_id:016x}" == request.span_id
    assert {f"{span.context.trace_id:032x}" for span in (inner, outer)} == {request.trace.trace_id}
    assert not outer.context.trace_flags.sampled
    assert outside == []


def test_the_callers_trace_and_decision_go_on(outside: list[Any]) -> None:
    """Into spans, and into requests that the handler makes."""
    carried: dict[str, str] = {}

    def call() -> None:
        nest()
        propagate.inject(carried)

    request = served(call, ("traceparent", _CALLER))
    assert request.spans[0].context.trace_flags.sampled
    assert carried["traceparent"] == f"{_CALLER[:36]}{request.span_id}-01"
    assert outside == []


def test_the_requests_own_span_takes_attributes_events_and_exceptions(outside: list[Any]) -> None:
    """A bounded number; of an exception only its kind, as its words may be a secret."""

    def tell() -> None:
        span = trace.get_current_span()
        assert span.is_recording()
        span.set_attributes({"tenant": "t1", "sequences": ["are", "left out"], "http.route": "ours"})
        span.add_event("cache warmed", {"keys": 2})
        span.record_exception(ValueError("the secret"))
        for n in range(2 * MOST_ATTRIBUTES):
            span.set_attribute(f"number {n}", n)

    request = served(tell)
    assert request.attributes["tenant"] == "t1"
    assert "http.route" not in request.attributes
    assert len(request.attributes) == MOST_ATTRIBUTES
    assert [line.message for line in request.logs] == ["cache warmed keys=2", "ValueError"]
    assert outside == []


async def test_what_outlives_the_request_goes_its_own_way(outside: list[Any]) -> None:
    """A span that ends after the request is sent by itself, if the request was sampled."""
    for ratio, sent in ((0.0, 0), (1.0, 1)):
        spans: list[Any] = []
        request = served(lambda spans=spans: spans.append(_tracer.start_span("late")), ratio=ratio)  # type: ignore[misc]
        request.ended = True
        spans[0].end()
        assert request.spans == []
        assert len(outside) == sent


async def test_tasks_of_a_request_belong_to_it(outside: list[Any]) -> None:
    """Each request has its own, though one connection serves them after another."""

    async def handle() -> Current:
        request = Current(0.0, Header(), HeadSampling())
        enter(request, Propagation())
        await asyncio.gather(asyncio.to_thread(nest), asyncio.to_thread(nest))
        return request

    first, second = await asyncio.create_task(handle()), await asyncio.create_task(handle())
    assert [len(request.spans) for request in (first, second)] == [4, 4]
    assert first.spans[0].context.trace_id != second.spans[0].context.trace_id
    assert outside == []


def test_spans_outside_requests_are_sampled_and_sent_by_themselves(outside: list[Any]) -> None:
    """As the standard variables say."""
    nest()
    assert [span.name for span in outside] == ["inner", "outer"]
    provider.leave()
    nest()
    assert len(outside) == 2


@pytest.mark.parametrize(("names", "found"), [("", "ann"), ("baggage", "ann"), ("tracecontext", None), ("none", None)])
def test_baggage_is_there_for_handlers(names: str, found: str | None) -> None:
    """Where OTEL_PROPAGATORS asks for it, which is the default."""
    got: list[object] = []
    served(lambda: got.append(baggage.get_baggage("user")), ("baggage", "user=ann"), names=names)
    assert got == [found]


@pytest.mark.parametrize(("names", "heard"), [("", True), ("baggage", False), ("tracecontext", True), ("none", False)])
def test_the_callers_trace_is_read_where_it_is_asked_for(names: str, heard: bool) -> None:
    """Without tracecontext among the propagators it is no one's."""
    request = served(nest, ("traceparent", _CALLER), names=names)
    assert (request.trace.trace_id in _CALLER) is heard


def test_an_unknown_propagator_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """And the others are obeyed."""
    propagation = Propagation("tracecontext, pigeon", warn=True)
    assert "pigeon" in caplog.text
    assert propagation.caller(Header([("traceparent", _CALLER)]))


@pytest.mark.parametrize("names", ["", "tracecontext"])
def test_of_two_callers_none_is_believed(names: str) -> None:
    """W3C Trace Context: a request with two traceparent headers begins a trace of its own."""
    request = served(nest, ("traceparent", _CALLER), ("traceparent", _CALLER), names=names)
    assert request.trace.parent == ""
    assert request.trace.trace_id not in _CALLER


@pytest.mark.usefixtures("outside")
def test_what_user_code_tells_of_one_request_is_bounded() -> None:
    """Spans and events past the bound are counted as dropped, and spans that never end are taken for lost."""

    def tell() -> None:
        for n in range(MOST_SPANS + 5):
            with _tracer.start_as_current_span(f"span {n}"):
                trace.get_current_span(provider.SERVED).add_event(f"event {n}")

    request = served(tell)
    assert (len(request.spans), len(request.logs), request.dropped) == (MOST_SPANS, MOST_SPANS, 10)


def test_spans_that_never_end_are_taken_for_lost(outside: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first; should one end after all, it belongs to no request."""
    monkeypatch.setattr(provider, "MOST_OPEN", 3)
    opened: list[Any] = []
    request = served(lambda: opened.extend(_tracer.start_span(f"span {n}") for n in range(5)), ratio=1.0)
    assert len(provider._spans._of) <= 3
    for span in opened:
        span.end()
    assert [span.name for span in request.spans] == ["span 2", "span 3", "span 4"]
    assert [span.name for span in outside] == ["span 0", "span 1"]
