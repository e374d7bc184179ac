"""The report as one HTML file that can be mailed: no script, nothing from elsewhere, everything from the target escaped."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from loadgen import charts
from loadgen.durations import clock_time, duration, share, span
from loadgen.figures import distributions, heatmaps, over_time
from loadgen.headline import headline
from loadgen.service_view import service_charts
from loadgen.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadgen.results import EndpointResult, EndpointStatus, Result

_HERE = Path(__file__).parent
_MOST_COLUMNS = 110
MOST_ROWS = 100
_MOST_SLOW = 20
_MOST_EXAMPLES = 30
_PERCENTS = (0.5, 0.9, 0.95, 0.99, 0.999, 1.0)


def render_html(result: Result) -> str:
    """Return the whole page."""
    css = (_HERE / "static" / "report.css").read_text()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "span": span, "clock": clock_time, "share": share, "moment": _moment}
    busiest = sorted(result.endpoints, key=lambda endpoint: -endpoint.response.count)
    timeline = Timeline(result, _MOST_COLUMNS)
    context: dict[str, Any] = {
        "css": Markup(css),  # noqa: S704 - our own file
        "csp": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        "result": result,
        "status": result.status,
        "headline": headline(result),
        "rows": [_row(status) for status in result.status.endpoints[:MOST_ROWS]],
        "left_out": max(0, len(result.status.endpoints) - MOST_ROWS),
        "figures": over_time(timeline) if result.status.completed else (),
        "distributions": distributions(busiest) if result.status.completed else (),
        "percents": _PERCENTS,
        "quantiles": [(each, _quantiles(each)) for each in busiest[:MOST_ROWS]],
        "heatmaps": heatmaps(timeline, busiest) if result.status.completed else (),
        "service": service_charts(result.service, timeline.length, _MOST_COLUMNS),
        "trends": result.trends,
        "slowest": _slowest(result.endpoints),
        "failures": _failures(result.endpoints),
        "examples": _examples(result.endpoints),
        "settings": _settings(result),
    }
    return environment.get_template("report.html").render(context)


def _row(status: EndpointStatus) -> tuple[EndpointStatus, Markup]:
    if status.p95 is None or status.target is None:
        return status, Markup()
    return status, charts.bullet(status.p95, status.target, status.p95_interval)


def _quantiles(endpoint: EndpointResult) -> tuple[tuple[str, list[float | None]], ...]:
    return tuple(
        (name, [found.quantile(percent) for percent in _PERCENTS])
        for name, found in (("response", endpoint.response), ("service", endpoint.service))
    )


def _slowest(endpoints: Iterable[EndpointResult]) -> list[tuple[str, Any]]:
    found = [(endpoint.name, slow) for endpoint in endpoints for slow in endpoint.slowest]
    return sorted(found, key=lambda each: -each[1].response)[:_MOST_SLOW]


def _failures(endpoints: Iterable[EndpointResult]) -> list[tuple[str, str, int]]:
    found = [(endpoint.name, kind, count) for endpoint in endpoints for kind, count in endpoint.failures.items()]
    return sorted(found, key=lambda each: -each[2])[:MOST_ROWS]


def _examples(endpoints: Iterable[EndpointResult]) -> list[tuple[str, Any]]:
    found = [(endpoint.name, example) for endpoint in endpoints for example in endpoint.examples]
    return sorted(found, key=lambda each: float(each[1].at))[:_MOST_EXAMPLES]


def _settings(result: Result) -> list[tuple[str, str]]:
    """Return what another person needs to do the same again, and with what the run was done."""
    scenario, environment = result.scenario, result.environment
    found = [
        ("Scenario", f"{scenario.name}: {scenario.summary}"),
        ("Shape", scenario.shape if scenario.shape != "open" else f"open, {scenario.arrivals} arrivals"),
        ("Mix", ", ".join(f"{name} {weight}" for name, weight in scenario.mix.items())),
        ("Timeout", duration(scenario.timeout_s)),
    ]
    if environment is not None:
        versions = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
        found += [
            ("Target", environment.target),
            ("Seed", str(environment.seed)),
            ("Scenario hash", environment.scenario_hash),
            ("Processes, connections", f"{environment.processes}, {environment.connections}"),
            ("Versions", versions),
            ("Machine", f"{environment.machine}, {environment.cpus} cores"),
            ("Taken by other machines", "-" if environment.steal is None else share(environment.steal)),
        ]
    if result.status.elapsed:
        found.append(("CPU of the generator", f"{share(result.cpu / result.status.elapsed)} of one core"))
    found += [
        (f"Sending process {use.number}", f"{duration(use.cpu)} CPU, {_bytes(use.rss)} at most")
        for use in result.processes
    ]
    return [(name, value) for name, value in found if value]


def _bytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:.0f} MiB"


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%d %B %Y, %H:%M:%S} UTC"
