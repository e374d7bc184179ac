"""What a console asks of whoever knows the fleet's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from observability.model import KeptTrace
    from observability.read.detail import (
        Annotation,
        BlockedView,
        OperationView,
        Period,
        RouteDetail,
        StoreColumns,
        TraceFilter,
        TraceList,
    )
    from observability.read.view import Series, View


class Feed(Protocol):
    """Where a console gets its figures: implemented by FleetStore, handed in by the host.

    What many viewers ask alike is computed once a second.
    """

    async def view(self, window: int = 60, until: float | None = None) -> View:
        """Return the present figures over the last ``window`` seconds, refreshed at most once a second however many ask.

        With ``until`` they are of the time that ends there: what is told of the stores is what was sampled then, or a
        mean. Age, workers, hashing queue and alerts are of the present all the same.
        """

    async def series(self, since: float = 0.0, seconds: int = 300, step: int = 1, until: float | None = None) -> Series:
        """Return complete columns after ``since`` (Unix seconds), at most those of the last ``seconds`` (before ``until``).

        A column is a second (five minutes of them are kept), or a multiple of ten seconds (an hour).
        """

    async def route(self, method: str, route: str, period: Period) -> RouteDetail | None:
        """Return one route over a period; None for a route that has neither target nor requests."""

    async def operations(self, period: Period) -> tuple[OperationView, ...]:
        """Return queries and commands over a period: those with a target in the target file's order, then the others, most time first."""

    async def stores(self, period: Period) -> StoreColumns:
        """Return columns of caches, pool, hashing and Redis."""

    async def blocked(self, period: Period) -> tuple[BlockedView, ...]:
        """Return what blocked event loops, newest first."""

    async def traces(self, wanted: TraceFilter) -> TraceList:
        """Return kept traces, newest first."""

    async def trace(self, trace_id: str) -> Sequence[KeptTrace]:
        """Return what was kept of a trace, by any worker; none when nothing was, or is no longer."""

    async def annotations(self, period: Period) -> tuple[Annotation, ...]:
        """Return what happened, oldest first: deploys, worker replacements, alerts, and what ``note`` was told."""

    async def note(self, annotation: Annotation) -> None:
        """Tell the fleet of something that happened: a setting that was changed."""
