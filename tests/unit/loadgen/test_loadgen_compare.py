"""Two runs side by side, simulated: what is chance is called noise, and what is not is found."""

from __future__ import annotations

import io
import math
import random
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

from loadgen.compare import Comparison, Difference, compare
from loadgen.compare_cli import compare_command, exit_code
from loadgen.compare_report import print_comparison, summary_line
from loadgen.errors import IncomparableError
from loadgen.results import RESULT_VERSION, Block, EndpointResult, Environment, Moment, Result, RunFolder, RunStatus
from loadgen.scenario import Scenario, Stage
from observability.model import Distribution, Histogram, Slo

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PLAN = Scenario(name="mine", users=10, rate_per_minute=1800, seconds=60, mix={"login": 1, "check": 2})
USUAL = {"login": 0.080, "check": 0.006}
PAIRS = 200


def simulated(
    seed: int, *, slower: float = 1.0, failing: float = 0.0, lost: float = 0.0, scenario: Scenario = PLAN, **status: Any
) -> Result:
    """Return a run whose times are log-normal and much like those before them (autocorrelation 0.8 from one to the next)."""
    chance = random.Random(seed)  # noqa: S311 - a simulation, no secret
    seconds = int(scenario.length)
    endpoints = tuple(
        _endpoint(name, tuple(_blocks(chance, usual * slower, [10 * share] * seconds, failing)))
        for (name, usual), share in zip(USUAL.items(), scenario.mix.values(), strict=True)
    )
    moments = tuple(
        Moment(at, 30, 30, round(30 * (1 - lost)) + chance.randint(-1, 1), Distribution(), Distribution())
        for at in range(seconds)
    )
    return Result(
        version=RESULT_VERSION,
        status=RunStatus(
            **{
                "run": f"run-{seed}",
                "scenario": scenario.name,
                "state": "done",
                "started": 0.0,
                "updated": 0.0,
                "pid": 1,
                "target": "http://a:1",
                "seconds": scenario.length,
                "users": scenario.users,
                "validity": "VALID",
                "verdict": "PASS",
                **status,
            }
        ),
        scenario=scenario,
        fewest_samples=59,
        lag_allowed=0.001,
        lag=Distribution(),
        cpu=1.0,
        endpoints=endpoints,
        environment=Environment(
            target="http://a:1",
            seed=scenario.seed,
            scenario_hash=scenario.hash,
            processes=1,
            connections=10,
            versions={"gatewatch": "1.0"},
            slo=Slo(),
            machine="Linux",
            cpus=2,
        ),
        moments=moments,
    )


def figure(comparison: Comparison, endpoint: str, name: str) -> Difference:
    """Return one of the differences."""
    return next(each for each in comparison.differences if (each.endpoint, each.figure) == (endpoint, name))


def test_two_runs_of_the_same_are_noise() -> None:
    """Of 200 such pairs 5 % at most have anything at all that is called real, though each has fifteen figures."""
    found = [compare(simulated(2 * pair), simulated(2 * pair + 1)) for pair in range(PAIRS)]
    assert sum(bool(each.worse or each.better) for each in found) <= 0.05 * PAIRS


def test_a_fifth_slower_is_found() -> None:
    """Both ways, in the medians at least, and the true ratio is within the bounds."""
    plan = msgspec.structs.replace(PLAN, seconds=240.0)
    usual, slower = simulated(1, scenario=plan), simulated(2, slower=1.2, scenario=plan)
    there, back = compare(usual, slower), compare(slower, usual)
    for endpoint in USUAL:
        median = figure(there, endpoint, "response p50")
        assert (median.word, median.direction) == ("real", "worse")
        assert figure(back, endpoint, "response p50").direction == "better"
        for name in ("response p50", "response p95", "service p50"):
            bounds = figure(there, endpoint, name).ratio_bounds
            assert bounds
            assert bounds.low
            assert bounds.high
            assert bounds.low <= 1.2 <= bounds.high
    assert not there.better
    assert not back.worse
    assert there.summary.startswith("really worse: login response p50")
    assert (exit_code(there), exit_code(back)) == (1, 0)


def test_differences_are_b_less_a_and_b_over_a() -> None:
    """In seconds and as a ratio, each within its bounds."""
    found = figure(compare(simulated(1), simulated(2, slower=2.0)), "login", "response p50")
    assert found.difference == pytest.approx(found.b - found.a)
    assert found.ratio == pytest.approx(found.b / found.a)
    assert found.difference_bounds.low
    assert found.difference_bounds.high
    assert 0 < found.difference_bounds.low < found.difference < found.difference_bounds.high


def test_more_errors_are_found() -> None:
    """Where none failed before and one in fifty does now; as a difference, as there is no ratio to nothing."""
    found = figure(compare(simulated(1), simulated(2, failing=0.02)), "check", "errors")
    assert (found.word, found.direction, found.ratio) == ("real", "worse", None)
    assert found.difference == pytest.approx(0.02, abs=0.01)
    assert figure(compare(simulated(1), simulated(2, failing=0.0005)), "check", "errors").word == "noise"


def test_a_rate_that_is_not_held_is_found() -> None:
    """Less is worse there."""
    found = figure(compare(simulated(1), simulated(2, lost=0.1)), "", "rate")
    assert (found.word, found.direction) == ("real", "worse")
    assert found.ratio == pytest.approx(0.9, abs=0.01)


def test_neighbouring_buckets_are_not_told_apart() -> None:
    """However sure: when all times are the same, a step of one bucket is no more than the histogram's own fineness."""
    first, second = _constant("a", 0.01), _constant("b", 0.01 * 2 ** (1 / 16))
    assert figure(compare(first, second), "login", "response p50").word == "noise"
    third = _constant("c", 0.01 * 2 ** (4 / 16))
    assert figure(compare(first, third), "login", "response p50").word == "real"


def test_too_few_samples_are_said_to_be_too_few() -> None:
    """Then nobody can tell, unless something else is worse."""
    plan = msgspec.structs.replace(PLAN, seconds=10.0)
    found = compare(simulated(1, scenario=plan), simulated(2, scenario=plan))
    assert figure(found, "login", "response p95").word == "too few"
    assert exit_code(found) == 3
    assert "Too few samples to tell of check, login." in summary_line(found)
    assert exit_code(compare(simulated(1, scenario=plan), simulated(2, slower=4.0, scenario=plan))) == 1


def test_what_else_was_different_is_told() -> None:
    """Seeds, versions, processes, target: each by name, from what to what."""
    first, second = simulated(1), simulated(2, scenario=msgspec.structs.replace(PLAN, seed=7))
    assert second.environment
    other = msgspec.structs.replace(second.environment, versions={"gatewatch": "1.1"}, target="http://b:2", steal=0.05)
    found = compare(first, msgspec.structs.replace(second, environment=other))
    assert [(each.name, each.a, each.b) for each in found.changes] == [
        ("seed", "1", "7"),
        ("service", "http://a:1", "http://b:2"),
        ("version of gatewatch", "1.0", "1.1"),
        ("taken by other machines", "0.0 %", "5.0 %"),
    ]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"status": {"run": "run-1"}}, "both are run run-1"),
        ({"status": {"validity": "INVALID"}, "invalid": ("late",)}, "run run-2 is INVALID (late)"),
        ({"status": {"state": "interrupted"}}, "run run-2 did not come to its end (interrupted)"),
        ({"stopped": "stopped: error_rate"}, "run run-2 was ended before its time (stopped: error_rate)"),
        ({"moments": ()}, "run run-2 is too short: it has 0 blocks of 1 s, and 10 are needed"),
        ({"fewest_samples": 10_000}, "no endpoint has 10000 samples in both runs"),
        ({"scenario": {"rate_per_minute": 60.0}}, "the runs did not do the same: rate_per_minute was 1,800 and 60"),
        ({"scenario": {"mix": {"login": 1}}}, 'mix was {"login":1,"check":2} and {"login":1}'),
        ({"scenario": {"users": 11}}, "users was 10 and 11"),
        ({"endpoint": {"route": "/v2/login"}}, "only one of them asked for login, GET /"),
        ({"environment": {"target": "https://a:1"}}, "one was sent over http, the other over https"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(changes: dict[str, Any], says: str) -> None:
    """With the reason, in one line."""
    run = simulated(2)
    for name, value in changes.items():
        if name == "endpoint":
            first = msgspec.structs.replace(run.endpoints[0], **value)
            run = msgspec.structs.replace(run, endpoints=(first, *run.endpoints[1:]))
        else:
            whole = msgspec.structs.replace(getattr(run, name), **value) if isinstance(value, dict) else value
            run = msgspec.structs.replace(run, **{name: whole})
    with pytest.raises(IncomparableError) as refused:
        compare(simulated(1), run)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_other_seeds_and_names_are_compared() -> None:
    """They are the same load, and so are other bounds on what is allowed."""
    other = msgspec.structs.replace(PLAN, name="yours", seed=3, allowed_error_rate=0.5, processes=2)
    assert compare(simulated(1), simulated(2, scenario=other)).scenario == "mine"


def test_stages_are_compared_stage_by_stage() -> None:
    """A climb that was planned does not hide a slowdown."""
    plan = Scenario(
        name="mine", users=10, rate_per_minute=600, mix=PLAN.mix, stage=(Stage(seconds=240, rate_per_minute=1800),)
    )
    found = compare(simulated(1, scenario=plan), simulated(2, slower=1.3, scenario=plan))
    assert figure(found, "login", "response p50").direction == "worse"


def _write(data_dir: Path, result: Result) -> str:
    folder = RunFolder(data_dir, result.status.run)
    folder.create()
    folder.write_result(result)
    folder.write_status(result.status)
    return str(folder.path)


def test_the_command_compares_the_last_two(tmp_path: Path) -> None:
    """Or those that are named, by id, folder or file; as a table, or as JSON."""
    command = compare_command(lambda: tmp_path)
    first = _write(tmp_path, simulated(1, started=1.0))
    _write(tmp_path, simulated(2, started=2.0, slower=2.0))
    last = CliRunner().invoke(command, [])
    assert last.exit_code == 1
    assert last.stdout.splitlines()[:2] == ["A  run-1", "B  run-2"]
    assert "real, worse" in last.stdout
    assert last.stdout.splitlines()[-1].startswith("Really worse: login response p50")
    assert CliRunner().invoke(command, ["run-1"]).stdout == last.stdout
    assert CliRunner().invoke(command, [first, f"{tmp_path}/runs/run-2/result.json"]).stdout == last.stdout
    assert CliRunner().invoke(command, ["run-2", "run-1"]).exit_code == 0
    told = msgspec.json.decode(CliRunner().invoke(command, ["--json"]).stdout, type=Comparison)
    assert told == compare(simulated(1, started=1.0), simulated(2, started=2.0, slower=2.0))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_figure_is_cut_however_narrow_the_terminal(width: int) -> None:
    """What does not fit is the difference, which A and B tell already; at 80 columns a row is one line."""
    out = io.StringIO()
    found = compare(simulated(1), simulated(2, slower=2.0))
    print_comparison(found, Console(file=out, force_terminal=True, width=width))
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    row = next(line for line in text.splitlines() if "service p50" in line)
    assert "…" not in text
    assert row.rstrip().endswith("real, worse")
    assert bool(re.search(r"ms +\+", row)) == (width == 120)
    assert width == 60 or len(row) <= width


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    """Exit code 2, for runs that are not there and for those that cannot be compared."""
    command = compare_command(lambda: tmp_path)
    none = CliRunner().invoke(command, [])
    assert (none.exit_code, none.stderr.count("\n")) == (2, 1)
    assert "holds no two runs" in none.stderr
    assert CliRunner().invoke(command, ["nope", "nothing"]).exit_code == 2
    _write(tmp_path, simulated(1))
    same = CliRunner().invoke(command, ["run-1"])
    assert (same.exit_code, same.stderr) == (2, "Error: both are run run-1\n")


def _constant(run: str, seconds: float) -> Result:
    """Return a run all of whose requests take the same time."""
    result = simulated(1, run=run)
    histogram = Histogram()
    histogram.record(seconds)
    one = histogram.freeze()
    blocks = tuple(Block(at, Histogram.of(*[one] * 10).freeze(), one, {"ok": 10}) for at in range(60))
    endpoints = tuple(_endpoint(each.name, blocks) for each in result.endpoints)
    return msgspec.structs.replace(result, endpoints=endpoints)


def _blocks(chance: random.Random, usual: float, plan: Iterable[int], failing: float) -> Iterable[Block]:
    """Yield second after second of requests; how slow one was carries over to the next."""
    level = chance.gauss(0, 1)
    for at, count in enumerate(plan):
        response, service, failed = Histogram(), Histogram(), 0
        for _ in range(count):
            level = 0.8 * level + 0.6 * chance.gauss(0, 1)
            took = usual * math.exp(0.4 * level)
            failed += chance.random() < failing
            response.record(took)
            service.record(0.9 * took)
        yield Block(at, response.freeze(), service.freeze(), {"ok": count - failed, "timeout": failed})


def _endpoint(name: str, blocks: tuple[Block, ...]) -> EndpointResult:
    return EndpointResult(
        name=name,
        method="GET",
        route=f"/{name}",
        statuses={},
        failures={},
        response=Histogram.of(*(block.response for block in blocks)).freeze(),
        service=Histogram.of(*(block.service for block in blocks)).freeze(),
        connect=Distribution(),
        blocks=blocks,
    )
