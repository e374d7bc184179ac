"""The one sentence on top of the page, which says whether the service is well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from console.format import duration, sentence, share, span, threshold

if TYPE_CHECKING:
    from observability.read.view import RouteView, View

STALE_AFTER = 5.0
"""Seconds without a snapshot after which figures are called stale; snapshots come once a second."""

ERRORS_ARE_WRONG = 0.01
"""Share of failed requests from which the service is not well, whatever its latencies."""

Tone = Literal["good", "bad", "waiting", "stale"]


class Verdict(msgspec.Struct, frozen=True):
    """A judgement in words. ``said`` changes only when the judgement does: it is what a screen reader reads out."""

    tone: Tone
    headline: str
    detail: str
    said: str


def is_stale(view: View) -> bool:
    """Tell whether the newest snapshot is too old to speak of the present."""
    return view.age is not None and view.age > STALE_AFTER


def fails(view: View) -> bool:
    """Tell whether too many requests fail, of requests enough to say so."""
    return view.requests >= view.fewest_samples and view.error_rate is not None and view.error_rate > ERRORS_ARE_WRONG


def judge(view: View) -> Verdict:
    """Say in words how the service does against its targets, the worst first."""
    if view.age is None:
        return Verdict(
            "waiting", "Waiting for the first figures", sentence(view.reason), "Waiting for the first figures"
        )
    if is_stale(view):
        detail = sentence(view.reason) or "Nothing below is the present."
        return Verdict("stale", f"No fresh figures for {span(view.age)}", detail, "The figures are stale")
    missed = sorted((r for r in view.routes if r.judgement == "missed"), key=_used, reverse=True)
    if missed:
        return _missing(missed, view)
    if fails(view):
        headline = f"{share(view.error_rate)} of requests fail"
        return Verdict("bad", headline, _failing(view), "Requests fail")
    return _well(view)


def _well(view: View) -> Verdict:
    met = sorted((r for r in view.routes if r.judgement == "met"), key=_used, reverse=True)
    few = [r for r in view.routes if r.judgement == "too few" and r.latency.count]
    if not met:
        if not view.requests:
            return Verdict("waiting", "Waiting for traffic", "No requests in the last minute.", "Waiting for traffic")
        if view.requests < view.fewest_samples:
            return Verdict("waiting", "Too few requests to judge", _too_few(view), "Not judged")
        detail = (
            "No route has enough requests in the last minute to judge its p95." if few else "No route has a target."
        )
        return Verdict("waiting", "Too few requests to judge" if few else "Nothing to judge", detail, "Not judged")
    closest = met[0]
    detail = f"{closest.route} is closest: it uses {_used(closest):.0%} of its {threshold(closest.target)}."
    if few:
        names = f"{len(few)} more {'has' if len(few) == 1 else 'have'}"
        detail += f" {names} too few requests to judge."
    return Verdict("good", "All targets met", detail.replace("%", " %"), "All targets met")


def _missing(missed: list[RouteView], view: View) -> Verdict:
    worst = missed[0]
    headline = f"{worst.route} misses: p95 {duration(worst.latency.p95)} of {threshold(worst.target)}"
    others = [f"{r.route} ({duration(r.latency.p95)} of {threshold(r.target)})" for r in missed[1:4]]
    detail = f"So do {', '.join(others)}." if len(others) > 1 else f"So does {others[0]}." if others else ""
    if len(missed) > 4:  # noqa: PLR2004 - the worst and three more are named
        detail = detail.rstrip(".") + f" and {len(missed) - 4} more."
    if not detail:
        met = sum(r.judgement == "met" for r in view.routes)
        detail = f"{met} other {'route meets its target' if met == 1 else 'routes meet their targets'}." if met else ""
    return Verdict("bad", headline, detail, f"{worst.route} misses its target")


def _too_few(view: View) -> str:
    asked = f"{view.requests:,} {'request' if view.requests == 1 else 'requests'} in the last minute"
    failed = f", {view.errors:,} of them failed" if view.errors else ""
    return f"{asked}{failed}; from {view.fewest_samples:,} on they are judged."


def _failing(view: View) -> str:
    worst = max(view.routes, key=lambda r: r.errors, default=None)
    if worst is None or not worst.errors:
        return ""
    return f"Most of them on {worst.route or '(unmatched)'}: {worst.errors:,} in the last minute."


def _used(route: RouteView) -> float:
    """Return the share of its target that a route's p95 uses."""
    if not route.target or route.latency.p95 is None:
        return 0.0
    return route.latency.p95 / route.target
