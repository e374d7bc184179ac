"""Requests past Sanic that chance has chosen: counted once like all others, and kept many at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from observability.record import Recorder
from observability.record.chosen import MOST_CHOSEN
from observability.record.keeping import Keeper
from observability.record.sanic import hook
from observability.record.trace import HeadSampling

if TYPE_CHECKING:
    from observability.model import KeptTrace

REQUESTS = 3 * MOST_CHOSEN + 5


def test_all_are_counted_once_and_the_chosen_are_kept_by_the_next_snapshot() -> None:
    """Each has an identity of its own, the Redis that it waited for, and an example in its series."""
    recorder, kept = Recorder(instance="here"), list["KeptTrace"]()
    recorder.sampling, recorder.keeper = HeadSampling(1.0), Keeper(instance="here", worker="one")
    recorder.keeper.sink = lambda trace, _: kept.append(trace)
    kind = hook(recorder)
    protocol: Any = kind.__new__(kind)
    protocol.conn_info = SimpleNamespace(ssl=False, server="127.0.0.1:8000", server_port=8000)
    series = protocol.series("GET", "/auth/check", 204)
    for _ in range(REQUESTS):
        protocol.begin(protocol.stamp())
        asked = protocol.stamp()
        protocol.answered(series, asked, protocol.stamp(), 0, b"", bytes, False)  # noqa: FBT003 - as the express way does
    assert len(kept) == 3 * MOST_CHOSEN
    snapshot = recorder.snapshot()
    [counts] = snapshot.requests
    assert (counts.duration.count, len(kept), snapshot.kept.sampled) == (REQUESTS, REQUESTS, REQUESTS)
    assert sum(band.count for band in snapshot.anatomy[0].bands) == REQUESTS
    assert len({trace.trace_id for trace in kept}) == REQUESTS
    assert {trace.why for trace in kept} == {"sampled"}
    assert all(trace.spans[0].part == "redis" and trace.spans[0].seconds < trace.seconds for trace in kept)
    assert counts.exemplars[-1].trace_id == kept[-1].trace_id
