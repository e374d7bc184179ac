"""Requests past Sanic that chance has chosen: counted once like all others, and kept many at once."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from observability.record import Recorder
from observability.record.chosen import MOST_CHOSEN
from observability.record.keeping import MOST_A_SECOND, Keeper
from observability.record.sanic import hook
from observability.record.trace import HeadSampling, Trace

if TYPE_CHECKING:
    from observability.model import BriefTrace, KeptTrace

REQUESTS = 3 * MOST_CHOSEN + 5


def _serve(recorder: Recorder, requests: int) -> None:
    kind = hook(recorder)
    protocol: Any = kind.__new__(kind)
    protocol.conn_info = SimpleNamespace(ssl=False, server="127.0.0.1:8000", server_port=8000)
    series = protocol.series("GET", "/auth/check", 204)
    for _ in range(requests):
        protocol.begin(protocol.stamp())
        asked = protocol.stamp()
        protocol.answered(series, asked, protocol.stamp(), 0, b"", bytes, False)  # noqa: FBT003 - as the express way does


def test_all_are_counted_once_and_the_chosen_are_kept_by_the_next_snapshot() -> None:
    """Each has an identity of its own, the Redis that it waited for, and an example in its series."""
    recorder, kept = Recorder(instance="here"), list["KeptTrace"]()
    recorder.sampling, recorder.keeper = HeadSampling(1.0), Keeper(instance="here", worker="one")
    recorder.keeper.sink = lambda trace, _: kept.append(trace)
    _serve(recorder, REQUESTS)
    assert len(kept) == 3 * MOST_CHOSEN
    snapshot = recorder.snapshot()
    [counts] = snapshot.requests
    assert (counts.duration.count, len(kept), snapshot.kept.sampled) == (REQUESTS, REQUESTS, REQUESTS)
    assert sum(band.count for band in snapshot.anatomy[0].bands) == REQUESTS
    assert len({trace.trace_id for trace in kept}) == REQUESTS
    assert {trace.why for trace in kept} == {"sampled"}
    assert all(trace.spans[0].part == "redis" and trace.spans[0].seconds < trace.seconds for trace in kept)
    assert counts.exemplars[-1].trace_id == kept[-1].trace_id


def test_those_for_which_there_is_no_room_are_only_exported() -> None:
    """Each goes out once, whole or briefly, with an identity that other samplers of the ratio keep as well; the newest are whole."""
    recorder, whole, brief = Recorder(instance="here"), list["KeptTrace"](), list["BriefTrace"]()
    recorder.sampling, recorder.keeper = HeadSampling(0.99), Keeper(instance="here", worker="one")
    recorder.keeper.sink, recorder.keeper.brief_sink = lambda trace, _: whole.append(trace), brief.extend
    _serve(recorder, REQUESTS)
    kept = recorder.snapshot().kept
    assert len(whole) == len(recorder.keeper.take()) == MOST_A_SECOND["sampled"]
    assert (kept.sampled, kept.refused) == (len(whole) + len(brief), len(brief))
    assert brief
    ids = [trace.trace_id for trace in whole] + [trace.ids[:16].hex() for trace in brief]
    assert len(set(ids)) == len(ids)
    assert all(recorder.sampling.decides(Trace(each)) for each in ids)
    for trace in brief:
        begin, end, asked, told = trace.times
        assert begin <= asked <= told <= end
        assert abs(end / 1e9 - time.time()) < 60
        assert (trace.kind.route, trace.kind.status, trace.kind.child) == ("/auth/check", 204, "MGET")
        assert ("server.port", 8000) in trace.kind.attributes
    assert recorder.snapshot().requests[0].exemplars[-1].trace_id == whole[-1].trace_id
