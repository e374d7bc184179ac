"""The page of the serving processes: what each uses, what held up its loop, what telemetry costs it, and how it is set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from console import format as shown
from console.blocks import blockers
from console.causes import LONG_WAIT
from console.pages.page import Ask, Columns, Page, later
from console.tiles import LAG_IS_WRONG, Tile
from console.tuning import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from console.tuning import LiveSettings
    from observability.read.view import HashView, View, WorkerView

HASHING = ("hash_wait_p95", "hash_duration_p95", "hash_refused")


class Versions(msgspec.Struct, frozen=True):
    """What these workers run: their release, and what each program and library is."""

    release: str
    about: tuple[tuple[str, str], ...]
    workers: tuple[str, ...]


class Given(msgspec.Struct, frozen=True):
    """A setting in force and where it comes from; ``live`` can be changed without a restart."""

    variable: str
    value: str
    origin: Origin
    about: str
    live: bool = False


class WorkersPage(Page):
    """Each worker and what it uses."""

    name = path = nav = "workers"
    title = "Workers"
    key = "w"
    parts = ("tiles", "workers", "blocked", "cost", "in_force")

    async def look(self, ask: Ask) -> dict[str, Any]:
        """Look at the workers now, and at what held them up in the time that is looked at."""
        feed = self.host.feed
        view = await feed.view()
        return {
            "tiles": tiles(view),
            "blockers": blockers(await feed.blocked(ask.period)),
            "versions": versions(view.workers),
            "in_force": given(self.host.settings) if self.host.settings else None,
            "step": ask.period.step,
        }

    async def columns(self, ask: Ask, since: int) -> Columns:
        """Return the columns of hashing, and the loops' lag beside them."""
        period, feed = ask.period, self.host.feed
        columns = later(await feed.stores(period), since, HASHING)
        series = await feed.series(
            since, period.seconds, period.step, *(() if period.until is None else (period.until,))
        )
        lags = dict(zip(series.at, series.loop_lag_p99, strict=True))
        return columns | {"loop_lag_p99": [lags.get(int(at or 0)) for at in columns["at"]]}


def versions(workers: Iterable[WorkerView]) -> tuple[Versions, ...]:
    """Return what runs, those that run the same together."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    for worker in workers:
        found.setdefault((worker.release, worker.about), []).append(f"{worker.instance} pid {worker.pid}")
    return tuple(Versions(*what, tuple(names)) for what, names in found.items())


def given(settings: LiveSettings) -> list[Given]:
    """Return every setting, those that somebody chose first."""
    live = [
        Given(each.variable, each.value, "changed", each.about, live=True)
        for each in settings.settings()
        if each.changed and each.variable
    ]
    others = [Given(each.variable, each.value, each.origin, each.about) for each in settings.in_force()]
    return sorted((*live, *others), key=lambda each: ("changed", "environment", "default").index(each.origin))


def tiles(view: View) -> tuple[Tile, ...]:
    """Return what the workers use together, and how passwords are hashed."""
    workers = view.workers
    none = "no worker has reported"
    cpus = [worker.cpu for worker in workers if worker.cpu is not None]
    lags = [worker.loop_lag_p99 for worker in workers if worker.loop_lag_p99 is not None]
    lag = max(lags, default=None)
    return (
        Tile(
            key="workers",
            label="Workers",
            figure=f"{len(workers):,}" if workers else shown.MISSING,
            note=_instances(workers),
            why=none,
        ),
        Tile(
            key="cpu",
            label="CPU",
            figure=shown.share(sum(cpus)) if cpus else shown.MISSING,
            note="of one core, all workers over the last minute",
            why="known after a minute's first seconds",
        ),
        Tile(
            key="memory",
            label="Memory",
            figure=shown.size(sum(worker.rss for worker in workers)) if workers else shown.MISSING,
            note="resident, all workers",
            why=none,
        ),
        Tile(
            key="lag",
            label="Loop lag p99",
            figure=shown.duration(lag),
            note="of the worker that lags most",
            why="not sampled yet",
            tone="bad" if lag is not None and lag > LAG_IS_WRONG else "",
        ),
        *_hashing(view.hashing),
    )


def _instances(workers: Sequence[WorkerView]) -> str:
    instances = len({worker.instance for worker in workers})
    return f"of {instances:,} {'instance' if instances == 1 else 'instances'}" if instances else ""


def _hashing(hashing: HashView | None) -> tuple[Tile, ...]:
    if hashing is None:
        why = "no worker hashes passwords"
        return (
            Tile(key="hash-queue", label="Hash queue", figure=shown.MISSING, note=why, why=why),
            Tile(key="hash-wait", label="Hash wait p95", figure=shown.MISSING, note=why, why=why),
        )
    threads = f"{hashing.threads:,} {'thread' if hashing.threads == 1 else 'threads'}"
    refused = f"{hashing.refused:,} refused in the last minute" if hashing.refused else f"{threads}, none refused"
    return (
        Tile(
            key="hash-queue",
            label="Hash queue",
            figure=f"{hashing.queued:,} of\N{NO-BREAK SPACE}{hashing.limit:,}",
            note=refused,
            tone="bad" if hashing.refused else "",
            used=min(1.0, hashing.queued / hashing.limit) if hashing.limit else None,
        ),
        Tile(
            key="hash-wait",
            label="Hash wait p95",
            figure=shown.duration(hashing.wait_p95),
            note=f"then {shown.duration(hashing.duration_p95)} to hash"
            if hashing.duration_p95
            else "no password hashed",
            why="no password was hashed in the last minute",
            tone="bad" if (hashing.wait_p95 or 0.0) > LONG_WAIT else "",
        ),
    )
