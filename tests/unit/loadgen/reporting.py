"""Results for the tests of reports: plain ones, large ones, and ones whose every word is hostile."""

from __future__ import annotations

import random

import msgspec

from loadgen.intervals import Interval
from loadgen.results import (
    RESULT_VERSION,
    Block,
    EndpointResult,
    EndpointStatus,
    Environment,
    Example,
    Moment,
    ProcessUse,
    Result,
    RunStatus,
    Slow,
)
from loadgen.scenario import Scenario
from loadgen.service_figures import ServiceFigures, ServiceSample, Trend
from observability.model import Distribution, Histogram, Slo

HOSTILE = (
    "</style></title><script>alert(1)</script>\"'><img src=http://evil.test/x onerror=alert(1)>{{7*7}}\x00\x1b[31m]]>&"
)


def made(*, endpoints: int = 2, seconds: int = 30, failing: float = 0.02, word: str = "", seed: int = 1) -> Result:
    """Return a result with so many endpoints and blocks; the first is a FAIL, the last is not judged.

    ``word`` stands wherever a target, or a scenario of one's own, can put one.
    """
    chance = random.Random(seed)  # noqa: S311 - the same each time
    scenario = msgspec.convert(
        {
            "name": "mine",
            "about": word,
            "users": 10,
            "rate_per_minute": 600,
            "seconds": float(seconds),
            "request": {"root": {"path": "/", "route": word or "/"}},
            "mix": {"root": 1},
        },
        Scenario,
    )
    results = tuple(_endpoint(chance, number, seconds, failing, word) for number in range(endpoints))
    count = sum(each.response.count for each in results)
    errors = sum(sum(each.failures.values()) for each in results)
    status = RunStatus(
        run="run-1",
        scenario="mine",
        state="done",
        started=1_795_378_500.0,
        updated=1_795_378_530.0,
        pid=1,
        target=f"http://service:1{word}",
        seconds=float(seconds),
        users=10,
        elapsed=float(seconds),
        planned=count,
        due=count,
        sent=count,
        completed=count,
        errors=errors,
        rate=count / seconds,
        p50=0.01,
        p95=0.05,
        p99=0.2,
        lag_p99=0.0003,
        verdict="FAIL",
        validity="VALID",
        message=f"step0: p95 250 ms, target 200 ms{word and '; '}{word}",
        endpoints=tuple(_status(each, number, endpoints) for number, each in enumerate(results)),
    )
    return Result(
        version=RESULT_VERSION,
        status=status,
        scenario=scenario,
        fewest_samples=59,
        lag_allowed=0.001,
        lag=_spread(chance, 0.0002, 100),
        cpu=0.3,
        endpoints=results,
        environment=Environment(
            target=f"http://service:1{word}",
            seed=1,
            scenario_hash="0123456789ab",
            processes=1,
            connections=10,
            versions={"python": f"3.11{word}"},
            slo=Slo(),
            machine=f"Linux{word}",
            cpus=2,
            steal=0.0,
        ),
        moments=tuple(
            Moment(at, 10, 10, 10, _spread(chance, 0.0002, 10), _spread(chance, 0.001, 2), 3, 1)
            for at in range(seconds)
        ),
        service=ServiceFigures(
            f"http://service:1/metrics{word}",
            1.0,
            tuple(
                ServiceSample(float(at), {f"worker{word}": {"cpu": 0.25 * at, "memory": 64 << 20, "pool_waiting": 2.0}})
                for at in range(seconds)
            ),
            fault=word,
        ),
        trends=(Trend(figure="memory", unit="MB", allowed=1.0, verdict="PASS", says=f"memory held steady{word}"),),
        processes=(ProcessUse(number=0, pid=1, seconds=float(seconds), cpu=0.3, rss=30 << 20),),
    )


def _endpoint(chance: random.Random, number: int, seconds: int, failing: float, word: str) -> EndpointResult:
    response, blocks, failed = Histogram(), [], 0
    spreads = [_spread(chance, 0.01 * (number + 1), 10) for _ in range(20)]
    for at in range(seconds):
        spread = chance.choice(spreads)
        wrong = sum(chance.random() < failing for _ in range(10))
        failed += wrong
        response.add(spread)
        blocks.append(Block(at, spread, spread, {"ok": 10 - wrong} | ({"timeout": wrong} if wrong else {})))
    trace = f"{number:032x}"
    return EndpointResult(
        name=f"step{number}{word}",
        method="GET",
        route=f"/{word}",
        statuses={"200": 10 * seconds - failed},
        failures={"timeout": failed} if failed else {},
        response=response.freeze(),
        service=response.freeze(),
        connect=Histogram().freeze(),
        blocks=tuple(blocks),
        slowest=tuple(Slow(at / 2, 0.9, 0.8, 0.1, 0.0, 0.7, 200, "ok", trace) for at in range(10)),
        examples=tuple(Example(at / 2, "garbage", 0, word or "no HTTP", trace) for at in range(3)) if failed else (),
    )


def _status(result: EndpointResult, number: int, endpoints: int) -> EndpointStatus:
    judged = number < endpoints - 1
    return EndpointStatus(
        name=result.name,
        method=result.method,
        route=result.route,
        count=result.response.count,
        errors=sum(result.failures.values()),
        failures=result.failures,
        p50=0.01,
        p95=0.05 if number else 0.25,
        p99=0.3,
        p95_interval=Interval(0.04, 0.06) if number else Interval(0.24, None),
        target=0.2 if judged else None,
        verdict=("PASS" if number else "FAIL") if judged else None,
    )


def _spread(chance: random.Random, middle: float, count: int) -> Distribution:
    histogram = Histogram()
    for _ in range(count):
        histogram.record(chance.lognormvariate(0.0, 0.7) * middle)
    return histogram.freeze()
