"""Which requests are kept: the slow, the failed and the sampled, bounded to a number a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from multidict import CIMultiDict
from opentelemetry.sdk.resources import Resource

from observability.model import encode_kept
from observability.publish.spans import request_of
from observability.record.current import SQL, Current
from observability.record.keeping import MOST_A_SECOND, MOST_FRESH, Keeper
from observability.record.provider import context_of
from observability.record.requests import RequestSeries
from observability.record.trace import HeadSampling

if TYPE_CHECKING:
    from observability.model import KeptTrace

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
NEVER, ALWAYS = HeadSampling(0.0), HeadSampling(1.0)


@pytest.fixture
def keeper() -> Keeper:
    """Keep, for nobody yet."""
    return Keeper(instance="here", worker="one")


def offer(
    keeper: Keeper,
    status: int = 200,
    seconds: float = 0.1,
    error: str = "",
    sampling: HeadSampling = NEVER,
    **headers: str,
) -> KeptTrace | None:
    """End a request, and return it if it is kept."""
    series = RequestSeries(targets={("GET", "/a"): 0.5}).of("GET", "/a", status, error)
    request = Current(100.0, CIMultiDict(headers), sampling)
    request.spend(SQL, 100.01, 100.03, "users", "", (("db.system.name", "postgresql"),))
    request.spend(SQL, 100.04, 100.05)
    why = keeper.why(series, seconds, request)
    if why is None:
        return None
    keeper.keep(why, series, request, seconds, request.parts, ())
    [exemplar] = series.exemplars or [None]
    taken = keeper.take()
    assert [t.trace_id for t in taken] == ([exemplar.trace_id] if taken and exemplar else [])
    return taken[0] if taken else None


@pytest.mark.parametrize(
    ("status", "seconds", "error", "why"),
    [
        (200, 0.1, "", None),
        (404, 0.1, "", None),
        (200, 1.1, "", "slow"),
        (404, 1.1, "", "slow"),
        (500, 0.1, "", "failed"),
        (503, 1.1, "", "failed"),
        (0, 0.1, "aborted", "failed"),
        (200, 0.1, "truncated", "failed"),
    ],
)
def test_slow_and_failed_requests_are_kept(
    keeper: Keeper, status: int, seconds: float, error: str, why: str | None
) -> None:
    """A 4xx alone is no failure."""
    kept = offer(keeper, status, seconds, error)
    assert (kept.why if kept else None) == why


def test_the_caller_and_chance_decide_about_others(keeper: Keeper) -> None:
    """A caller that samples is obeyed, and so is one that does not; without a caller it is chance."""
    asked = offer(keeper, sampling=NEVER, traceparent=f"00-{TRACE}-{PARENT}-01")
    assert asked is not None
    assert (asked.why, asked.trace_id, asked.parent_id) == ("asked", TRACE, PARENT)
    assert offer(keeper, sampling=ALWAYS, traceparent=f"00-{TRACE}-{PARENT}-00") is None
    sampled = offer(keeper, sampling=ALWAYS)
    assert sampled is not None
    assert (sampled.why, sampled.parent_id) == ("sampled", "")


def test_a_kept_request_has_its_children(keeper: Keeper) -> None:
    """Named waits are its spans, with their place in it; all waits are in its parts."""
    kept = offer(keeper, 500, tracestate="x=y, gatewatch=w:2500 ", traceparent=f"00-{TRACE}-{PARENT}-00")
    assert kept is not None
    [child] = kept.spans
    assert (child.name, child.kind, child.part, child.parent_id) == ("users", "client", "sql", kept.span_id)
    assert child.begin == pytest.approx(0.01)
    assert child.seconds == pytest.approx(0.02)
    assert kept.parts[SQL] == pytest.approx(0.03)
    assert kept.client_wait == 0.0025


def test_each_kind_is_bounded_a_second(keeper: Keeper) -> None:
    """Past the bound they are counted, until the next second."""
    found = [offer(keeper, 500) for _ in range(MOST_A_SECOND["failed"] + 3)]
    assert sum(kept is not None for kept in found) == MOST_A_SECOND["failed"]
    assert (keeper.counts.failed, keeper.counts.refused) == (MOST_A_SECOND["failed"], 3)
    assert offer(keeper, 200, 1.1) is not None  # another kind has its own
    keeper.settle()
    assert offer(keeper, 500) is not None


def test_a_caller_that_samples_everything_fills_only_the_exporters_queue(keeper: Keeper) -> None:
    """The console's stream has its bound; what goes out by OTLP has that of its queue."""
    gone: list[KeptTrace] = []
    keeper.sink = lambda trace, _: gone.append(trace)
    for _ in range(200):
        offer(keeper, sampling=ALWAYS)
    assert (len(gone), keeper.counts.sampled) == (200, 200)
    assert keeper.fresh.maxlen == MOST_FRESH


def test_a_sampler_that_is_off_sends_nothing_out(keeper: Keeper) -> None:
    """With always_off what is slow is kept for the console, and nothing is exported."""
    gone: list[KeptTrace] = []
    keeper.sink = lambda trace, _: gone.append(trace)
    assert offer(keeper, 200, 1.1, sampling=HeadSampling(0.0, parents=False)) is not None
    assert gone == []


def test_a_tracestate_is_kept_only_as_far_as_all_must_pass_it_on(keeper: Keeper) -> None:
    """Several headers are one list; one that is longer, or not as it has to be, is as if there were none; all can be published and sent."""
    odd, long = b"a=\xff".decode(errors="surrogateescape"), "a=" + "b" * 256
    for states, kept_as in (
        (("a=b", "gatewatch=w:9"), "a=b,gatewatch=w:9"),
        ((long, "b=" + "b" * 251), f"{long},b={'b' * 251}"),
        ((long, "b=" + "b" * 252), ""),
        (("a=b, ,c@d= e",), "a=b,c@d= e"),
        (("a=b,a=c",), ""),
        (("!!",), ""),
        (("a=b=c",), ""),
        ((",".join(f"k{n}=v" for n in range(33)),), ""),
        ((odd,), ""),
        (("a=b\x00",), ""),
    ):
        headers = CIMultiDict(
            [("traceparent", f"00-{TRACE}-{PARENT}-01"), *(("tracestate", state) for state in states)]
        )
        request = Current(100.0, headers, NEVER)
        keeper.settle()
        keeper.keep("asked", RequestSeries().of("GET", "/a", 200, ""), request, 0.1, (), ())
        [kept] = keeper.take()
        assert kept.tracestate == kept_as
        assert context_of(request).trace_state.to_header() == kept_as
        assert encode_kept(kept)
        assert request_of([(kept, ())], Resource({}))
