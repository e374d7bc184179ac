"""Each worker's own row: its process, and what telemetry costs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from observability.read.tally import difference
from observability.read.view import WorkerView
from observability.read.words import share

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observability.read.track import Track

_MINUTE = 60


def worker_views(live: Iterable[Track], begin: float, end: float, now: float) -> tuple[WorkerView, ...]:
    """Return the workers that live, and what they did between ``begin`` and ``end``, by instance and age."""
    views = [_worker_view(track, begin, end, now) for track in live]
    return tuple(sorted(views, key=lambda view: (view.instance, view.started, view.worker)))


def _worker_view(track: Track, begin: float, end: float, now: float) -> WorkerView:
    newest = track.newest
    runtime, cost, export = newest.runtime, newest.cost, newest.export
    lag = cpu = gc = collections = telemetry = published = None
    requests = kept = 0
    if (points := track.since(begin, end)) is not None:
        before, after = points
        seconds = max(0.0, after.taken - before.taken)
        lag = difference(after.loop_lag, before.loop_lag).quantile(0.99)
        gc = difference(after.gc_pauses, before.gc_pauses).quantile(0.99)
        cpu = share(max(0.0, after.cpu - before.cpu), seconds)
        collections = share(_MINUTE * (after.collections - before.collections), seconds)
        telemetry = share(max(0.0, after.telemetry - before.telemetry), after.timed - before.timed)
        published = share(after.published - before.published, seconds)
        requests = after.requests - before.requests
        kept = after.kept - before.kept
    return WorkerView(
        instance=newest.instance,
        worker=newest.worker,
        pid=newest.pid,
        started=newest.started,
        age=max(0.0, now - newest.taken),
        rss=runtime.rss,
        cpu=cpu,
        loop_lag_p99=lag,
        requests=requests,
        in_flight=newest.in_flight,
        release=newest.release,
        about=newest.about,
        threads=runtime.threads,
        open_files=runtime.open_files,
        tasks=runtime.tasks,
        gc_p99=gc,
        gc_per_minute=collections,
        blocked=track.blocked,
        telemetry=telemetry,
        published=published,
        dropped=export.refused + export.lost if export else 0,
        series=cost.series,
        most_series=cost.most_series,
        kept=kept,
    )
