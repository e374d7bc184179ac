"""The search for the knee, and looking at the service's own figures, against services over real sockets."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from loadgen import search
from loadgen.history import read_runs
from loadgen.knee import KneeOrder, KneeRun
from loadgen.knee_result import KNEE_FILE, Knee
from loadgen.results import Result, RunFolder
from loadgen.runner import Order, Runner
from loadgen.scenario import Scenario
from loadgen.service import Source
from observability.model import RouteTarget, Slo

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from loadgen.results import RunStatus
    from loadgen.step_judge import Step

EASY = Slo(route=(RouteTarget(name="root", method="GET", route="/", p95_ms=10_000, peak_per_minute=120_000),))
"""So that a crowded machine does not make a step invalid: what is missed is missed by being refused."""

FIGURES = b'process_memory_usage_bytes{worker="a"} 1e8\nprocess_open_fds{worker="b"} 7\n'

SLOT = """
name = "slot"
users = 4
rate_per_minute = 600
seconds = 1
[request.root]
path = "/"
[mix]
root = 1
"""


class Silent:
    """Progress that nobody looks at."""

    def show(self, status: RunStatus) -> None:
        """Show nothing."""


def _scenario(**changes: Any) -> Scenario:
    fields = {
        "name": "slot",
        "users": 40,
        "rate_per_minute": 6000,
        "seconds": 1.0,
        "timeout_s": 5,
        "allowed_error_rate": 0.02,
        "request": {"root": {"path": "/"}},
        "mix": {"root": 1},
    }
    return msgspec.convert(fields | changes, Scenario)


def _slot(service: Any) -> None:
    """Let a service answer 200 requests a second, one after the other, and refuse those that find sixty waiting."""
    free = 0.0

    def instant(now: float) -> float:
        nonlocal free
        if free - now > 0.3:
            service.refusing += 1
            return now
        free = max(free, now) + 0.005
        return free

    def decide(*_: object) -> tuple[int, bytes, str]:
        if service.refusing:
            service.refusing -= 1
            return 429, b"{}", ""
        return 200, b"{}", ""

    service.refusing = 0
    service.instant, service.decide = instant, decide


async def test_the_capacity_of_a_real_service_is_found(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No rate above what it can do is called met; what ran out, the peak's need and the history are told."""
    monkeypatch.setattr(search, "GROWTH", 4.0)
    monkeypatch.setattr(search, "CLOSE", 4.5)
    noted: list[Step] = []
    async with serve() as service:
        _slot(service)
        order = Order(scenario=_scenario(), target=service.target, slo=EASY, run="k")
        run = KneeRun(KneeOrder(order, 60_000, 1), RunFolder(tmp_path, "k"), Silent(), noted.append)
        knee = await run.run()
    assert knee.missed is not None
    assert (knee.met or 0) <= 1.1 * 12_000
    assert tuple(noted) == knee.steps
    assert [step.run for step in knee.steps] == [f"k-{number:02}" for number in range(1, len(knee.steps) + 1)]
    (status,) = read_runs(tmp_path)
    assert (status.scenario, status.state, status.message) == ("knee of slot", "done", knee.says)
    for step in knee.steps:
        result = (tmp_path / "runs" / "k" / "runs" / step.run / "result.json").read_bytes()
        assert msgspec.json.decode(result, type=Result).scenario.rate_per_minute == step.rate
    refused = sum(step.errors for step in knee.steps)
    assert ("rate limits" in [each.what for each in knee.ran_out]) or not refused or knee.met is None
    if knee.met:
        assert [need.services for need in knee.needs] == [-(-120_000 // knee.met)]


async def test_an_interrupted_search_reports_what_it_has(serve: Any, tmp_path: Path) -> None:
    """Ctrl-C ends with 130, the steps so far in the report and in knee.json, and the history says so."""
    (tmp_path / "slot.toml").write_text(SLOT)
    async with serve() as service:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "loadgen", "knee", "--scenario", str(tmp_path / "slot.toml")),
            *("--target", service.target.url, "--data-dir", str(tmp_path), "--run-id", "k"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        async with asyncio.timeout(180):
            while b"600/min" not in await process.stderr.readline():
                pass
            process.send_signal(signal.SIGINT)
            out, _ = await process.communicate()
    assert process.returncode == 130
    assert b"600/min" in out
    assert b"Knee: interrupted; so far" in out
    knee = msgspec.json.decode((tmp_path / "runs" / "k" / KNEE_FILE).read_bytes(), type=Knee)
    assert knee.interrupted
    assert knee.steps
    (status,) = read_runs(tmp_path)
    assert (status.state, status.message) == ("interrupted", knee.says)


async def test_what_cannot_be_searched_is_refused(tmp_path: Path) -> None:
    """Stages, closed scenarios and bounds that are the wrong way round are each a line and exit code 2."""
    for flags, says in (
        (["--scenario", "spike"], "no one rate"),
        (["--from", "6000", "--to", "5000"], "--to must be from 6,000"),
        (["--step-seconds", "2000"], "900 or less"),
        (["--run-id", "x" * 53], "52 characters"),
    ):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "loadgen", "knee", "--data-dir", str(tmp_path), *flags),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        assert (process.returncode, says in said.decode()) == (2, True), said


async def _watched(service: Any, folder: Path) -> Result:
    order = Order(
        scenario=_scenario(rate_per_minute=1200, seconds=2.5, steady={"memory_mb_per_hour": 1}),
        target=service.target,
        slo=Slo(),
        run="r",
        metrics=Source(service.target, "/metrics"),
    )
    return await Runner(order, RunFolder(folder, "r"), Silent()).run()


async def test_the_services_own_figures_come_into_the_result(serve: Any, tmp_path: Path) -> None:
    """They are looked at from the start to the end, beside the load, which is counted without them."""
    async with serve() as service:
        service.decide = lambda _, path, __: (200, FIGURES if path == "/metrics" else b"{}", "")
        result = await _watched(service, tmp_path)
    asked = service.answered["GET", "/metrics", 200]
    assert result.service is not None
    assert len(result.service.samples) == asked >= 2
    assert result.service.samples[-1].workers == {"a": {"memory": 1e8}, "b": {"open_files": 7.0}}
    assert result.status.completed == service.answered["GET", "/", 200] == 50
    assert [trend.verdict for trend in result.trends] == ["TOO FEW"]
    assert "memory: not judged" in result.status.message
    assert msgspec.json.decode(msgspec.json.encode(result), type=Result).service == result.service


async def test_a_service_without_figures_is_asked_once(serve: Any, tmp_path: Path) -> None:
    """And the run goes on without them."""
    async with serve() as service:
        service.decide = lambda _, path, __: (404 if path == "/metrics" else 200, b"{}", "")
        result = await _watched(service, tmp_path)
    assert service.answered["GET", "/metrics", 404] == 1
    assert result.service is not None
    assert result.service.samples == ()
    assert result.service.fault.endswith("/metrics: answered 404")
    assert result.status.completed == 50
