"""The search for the highest rate, its judgement of a step, and its finding of what ran out."""

from __future__ import annotations

import msgspec
import pytest

from loadgen.bottleneck import Evidence, shortages
from loadgen.knee_result import KNEE_VERSION, Knee, Need, knee_lines
from loadgen.neighbours import GENERATOR, POSTGRES, REDIS, SERVICE, MachineUse, ProcessShare, between, is_here, look
from loadgen.plan import load_scenario
from loadgen.results import RESULT_VERSION, Block, EndpointResult, EndpointStatus, Moment, Result, RunStatus
from loadgen.search import Outcome, Search
from loadgen.service_figures import Figures, ServiceSample
from loadgen.step_judge import Step, judge
from observability.model import Distribution, Histogram

CAPACITY = 12_000.0
"""Requests a minute of the simulated service: one slot of 5 ms."""


def _spread(values: list[float]) -> Distribution:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram.freeze()


def _queue(rate: float, seconds: int, *, target: float = 0.1, invalid: tuple[str, ...] = ()) -> Result:
    """Return the result of a run against one slot of 5 ms, exactly as it would be: evenly spaced, no noise."""
    gap, free, took = 60 / rate, 0.0, 60 / CAPACITY
    responses: dict[int, list[float]] = {}
    ended: dict[int, int] = {}
    for number in range(round(seconds / gap)):
        due = (number + 0.5) * gap
        free = max(free, due) + took
        responses.setdefault(int(due), []).append(free - due)
        ended[int(free)] = ended.get(int(free), 0) + 1
    nothing = Distribution()
    blocks = tuple(Block(at, _spread(each), nothing, {"ok": len(each)}) for at, each in responses.items())
    endpoint = EndpointResult(
        name="root", statuses={}, failures={}, response=nothing, service=nothing, connect=nothing, blocks=blocks
    )
    status = RunStatus(
        run="r-01",
        scenario="mine",
        state="done",
        started=0,
        updated=0,
        pid=1,
        target="",
        seconds=seconds,
        users=1,
        endpoints=(EndpointStatus(name="root", method="GET", route="/", target=target),),
    )
    return Result(
        version=RESULT_VERSION,
        status=status,
        scenario=load_scenario("baseline"),
        fewest_samples=59,
        lag_allowed=0.001,
        lag=nothing,
        cpu=0,
        endpoints=(endpoint,),
        moments=tuple(
            Moment(at, len(each), len(each), ended.get(at, 0), nothing, nothing) for at, each in responses.items()
        ),
        invalid=invalid,
    )


@pytest.mark.parametrize("first", [600, 5000, 11_900, 50_000])
def test_a_known_capacity_is_found(first: float) -> None:
    """Wherever the search begins, 200 requests a second are found within ten percent, in steps of ten seconds."""
    search = Search(first, 6_000_000)
    steps = 0
    while (rate := search.rate) is not None:
        search.tell(judge(_queue(rate, 13), rate=rate, warm=3, until=13).outcome)
        steps += 1
    assert search.met is not None
    assert search.missed is not None
    assert 0.9 * CAPACITY <= search.met < search.missed <= 1.1 * CAPACITY
    assert search.missed / search.met <= 1.05
    assert steps <= 30


def _searched(outcomes: dict[int, list[Outcome]], first: float = 1000, most: float = 1e6) -> Search:
    """Return a search that is told, for each rounded rate, these outcomes in turn, and that any other is missed."""
    search = Search(first, most)
    while (rate := search.rate) is not None:
        told = outcomes.get(round(rate), ["missed"])
        search.tell(told.pop(0) if len(told) > 1 else told[0])
    return search


def test_one_miss_is_a_hiccup() -> None:
    """A rate that is missed and then met is met."""
    search = _searched({1000: ["missed", "met"], 1600: ["missed"]})
    assert search.met == 1000
    assert search.missed == pytest.approx(1000, rel=0.05)


def test_the_most_that_may_be_tried_ends_the_search() -> None:
    """Nothing above it is tried, and it is tried itself."""
    search = _searched({1000: ["met"], 1500: ["met"]}, most=1500)
    assert (search.met, search.missed) == (1500, None)


def test_a_rate_that_the_generator_cannot_judge_bounds_what_is_known() -> None:
    """It is told apart from one that the service missed."""
    search = _searched(
        {1000: ["met"], 1600: ["unknown"], 1265: ["unknown"], 1125: ["met"], 1193: ["unknown"], 1158: ["met"]}
    )
    assert (round(search.met or 0), round(search.missed or 0), search.by_generator) == (1158, 1193, True)


def test_nothing_met_ends_far_below() -> None:
    """The search gives up rather than go on for ever."""
    search = _searched({})
    assert search.met is None
    assert search.missed == pytest.approx(1000 / 16)


def test_a_step_is_judged_without_its_warm_up() -> None:
    """Only what was intended in between counts, and an overloaded service misses by its p95 and by what it leaves behind."""
    good = judge(_queue(9000, 12), rate=9000, warm=2, until=12)
    assert (good.outcome, good.planned, good.completed, good.errors, good.says) == ("met", 1500, 1500, 0, "")
    bad = judge(_queue(24_000, 12), rate=24_000, warm=2, until=12)
    assert bad.outcome == "missed"
    assert bad.says.startswith("root: p95")
    assert bad.says.endswith("2,000 of 4,000 requests were left behind")


def test_what_cannot_be_judged_is_unknown() -> None:
    """An invalid step is, and so is one in which every target has too few samples."""
    invalid = judge(_queue(24_000, 12, invalid=("late",)), rate=24_000, warm=2, until=12)
    assert (invalid.outcome, invalid.says) == ("unknown", "late")
    few = judge(_queue(300, 12), rate=300, warm=2, until=12)
    assert few.outcome == "unknown"
    assert "too few" in few.says


def _machine(*shares: tuple[str, float, float]) -> MachineUse:
    processes = tuple(ProcessShare(group, number, cores, main) for number, (group, cores, main) in enumerate(shares))
    return MachineUse(2, sum(cores for _, cores, _ in shares), processes)


def _samples(first: Figures, last: Figures) -> tuple[ServiceSample, ...]:
    return ServiceSample(0, {"a": first, "b": {}}), ServiceSample(5, {"a": first}), ServiceSample(10, {"a": last})


@pytest.mark.parametrize(
    ("evidence", "what", "says"),
    [
        (Evidence(), [], ""),
        (Evidence(refused=7), ["rate limits"], "refused 7 requests"),
        (Evidence(generator=("lag p99 9 ms",)), ["the generator"], "lag p99 9 ms"),
        (
            Evidence(machine=_machine((SERVICE, 1.2, 0.6), (POSTGRES, 0.5, 0), (GENERATOR, 0.2, 0))),
            ["CPU of the machine"],
            "1.90 of 2 cores: the service 1.20, PostgreSQL 0.50, the generator 0.20",
        ),
        (Evidence(machine=_machine((SERVICE, 1.1, 0.97))), ["an event loop"], "97% of a core in one thread"),
        (Evidence(machine=_machine((REDIS, 1.0, 0.95), (SERVICE, 0.5, 0.5))), ["Redis"], "95% of a core"),
        (Evidence(samples=_samples({"cpu": 100}, {"cpu": 109.5})), ["CPU of a worker"], "0.95 cores"),
        (
            Evidence(samples=_samples({"pool_size": 10, "pool_waiting": 4}, {"pool_size": 10, "pool_waiting": 30})),
            ["connections to PostgreSQL"],
            "up to 30 requests waited for the 10 connections",
        ),
        (
            Evidence(
                samples=_samples(
                    {"hash_waits": 10, "hash_wait_seconds": 1}, {"hash_waits": 60, "hash_wait_seconds": 11}
                )
            ),
            ["password hashing"],
            "waited 200 ms",
        ),
        (Evidence(samples=_samples({"hash_refused": 2}, {"hash_refused": 5})), ["password hashing"], "3 were refused"),
        (
            Evidence(samples=_samples({"lags": 100, "lag_seconds": 1}, {"lags": 200, "lag_seconds": 5})),
            ["time of an event loop"],
            "40 ms late",
        ),
        (Evidence(samples=_samples({"pool_size": 10, "cpu": 1}, {"pool_size": 10, "cpu": 3, "hash_waits": 5})), [], ""),
    ],
)
def test_what_ran_out_is_named(evidence: Evidence, what: list[str], says: str) -> None:
    """Each thing that can run short is recognised by what is seen of it, and by nothing else."""
    found = shortages(evidence)
    assert [each.what for each in found] == what
    assert says in "".join(each.says for each in found)


def test_this_process_is_seen_among_those_of_the_machine() -> None:
    """Its CPU seconds are the generator's, and no more cores are used than there are."""
    before = look(1)
    while look(1).at < before.at + 0.3:
        pass
    use = between(before, look(1))
    assert use.of(GENERATOR) > 0
    assert 0 < use.cores <= use.cpus + 0.5


def test_only_an_address_of_this_machine_is_here() -> None:
    """A name that is not known to be is not."""
    assert [is_here(host) for host in ("localhost", "127.0.0.1", "::1", "10.1.1.1", "example.org")] == [True] * 3 + [
        False
    ] * 2


def test_the_report_says_what_was_found() -> None:
    """Steps, bounds, what ran out, and how many services a peak takes."""
    step = Step(rate=9000, run="r-01", outcome="met", says="", planned=1500, completed=1500, errors=0, endpoints=())
    knee = Knee(
        version=KNEE_VERSION,
        run="r",
        target="",
        scenario=load_scenario("knee"),
        step_seconds=10,
        met=9000.0,
        missed=9400.0,
        by_generator=False,
        interrupted=False,
        steps=(step,),
        ran_out=shortages(Evidence(refused=7)),
        evidence=None,
        needs=(Need("login", 5000, 800, 7), Need("check", 50_000, 8000, 7)),
    )
    text = "\n".join(knee_lines(knee))
    assert "Knee: the knee is between 9,000 and 9,400 requests a minute; what ran out: rate limits" in text
    assert "login: a peak of 5,000 a minute, 800 at the knee: 7" in text
    assert "The peak takes 7 such services" in text
    unbounded = msgspec.structs.replace(knee, missed=None, ran_out=())
    assert unbounded.says == "9,000 requests a minute were met, the most that was tried"
    assert msgspec.structs.replace(knee, by_generator=True).says.startswith("at least 9,000")
    assert msgspec.structs.replace(knee, met=None).says.startswith("even 9,400 requests a minute were too many")
    assert msgspec.structs.replace(knee, interrupted=True).says.startswith("interrupted; so far the knee is between")
