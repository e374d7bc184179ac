"""What a service says of itself: read, kept in bounded room, and judged for whether it holds steady."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from loadgen.errors import TargetError
from loadgen.exposition import read_exposition
from loadgen.scenario import Steady
from loadgen.service import MOST_SAMPLES, Samples, interval, parse_source
from loadgen.service_figures import ServiceFigures, ServiceSample
from loadgen.soak import slope, trends
from loadgen.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.service_figures import Figures

_DAY = 86_400.0
_MIB = 1 << 20
TARGET = Target("127.0.0.1", 8000)

EXPOSITION = r"""
# HELP process_memory_usage_bytes Resident memory of the worker process.
# TYPE process_memory_usage_bytes gauge
process_memory_usage_bytes{worker="a"} 1.5e+08
process_memory_usage_bytes{worker="b"} 1e8 1700000000000
process_cpu_time_seconds_total{cpu_mode="user",worker="a"} 2
process_cpu_time_seconds_total{cpu_mode="system",worker="a"} 0.5
db_client_connection_count{db_client_connection_state="used",pool="x \"}, y",worker="a"} 3
db_client_connection_count{db_client_connection_state="idle",worker="a"} 7
db_client_connection_max{pool="one",worker="a"} 10
db_client_connection_max{pool="two",worker="a"} 5
gatewatch_hash_queue_length{worker="b"} NaN
process_memory_usage_bytes_more{worker="a"} 1
process_open_fds 12
process_open_fds{broken 13
something else entirely
"""


def test_the_figures_of_each_process_are_read() -> None:
    """Names of both kinds, labels with anything in them, values of one process added up; the rest is passed over."""
    assert read_exposition(EXPOSITION) == {
        "a": {"memory": 1.5e8, "cpu": 2.5, "pool_used": 3.0, "pool_size": 15.0},
        "b": {"memory": 1e8},
        "": {"open_files": 12.0},
    }


def test_where_the_service_tells_is_a_path_or_an_address() -> None:
    """A path is on the target, an address is its own, and nothing is nowhere."""
    source = parse_source("/metrics?all=1", TARGET)
    assert source is not None
    assert source.url == "http://127.0.0.1:8000/metrics?all=1"
    elsewhere = parse_source("http://10.0.0.1:9100/metrics", TARGET)
    assert elsewhere is not None
    assert (elsewhere.target, elsewhere.path) == (Target("10.0.0.1", 9100), "/metrics")
    assert parse_source("none", TARGET) is parse_source("", TARGET) is None


@pytest.mark.parametrize("text", ["metrics", "/a b", "/a\r\nX: 1", "ftp://h/metrics", "http://h:8000"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """So that a run does not find out at its end."""
    with pytest.raises(TargetError):
        parse_source(text, TARGET)


def test_a_day_of_samples_keeps_its_room() -> None:
    """However long it takes there are no more samples than stated, evenly spread, from the beginning to the end."""
    samples, at = Samples(interval(_DAY)), 0.0
    assert samples.every == 5
    while at < _DAY:
        samples.add(ServiceSample(at, {}))
        at += samples.every
    assert MOST_SAMPLES / 2 <= len(samples.kept) <= MOST_SAMPLES
    apart = {round(after.at - before.at) for before, after in zip(samples.kept, samples.kept[1:], strict=False)}
    assert max(apart) <= 2 * min(apart)
    assert samples.kept[0].at == 0
    assert samples.kept[-1].at > _DAY - 2 * samples.every


def _noise(chance: random.Random, count: int, alike: float) -> Iterator[float]:
    """Yield noise of about one unit in which neighbours resemble each other this much."""
    value = 0.0
    for _ in range(count):
        value = alike * value + chance.gauss(0, (1 - alike**2) ** 0.5)
        yield value


@pytest.mark.parametrize("alike", [0.0, 0.9, 0.98])
def test_the_interval_holds_the_slope(alike: float) -> None:
    """Of 400 noisy lines nine in ten or more have their slope within what is 95 % sure, however the noise hangs together."""
    chance = random.Random(7)  # noqa: S311 - repeatable
    times = [60.0 * minute for minute in range(1440)]
    held = 0
    for _ in range(400):
        noise = _noise(chance, len(times), alike)
        found = slope(times, [3 * at / 3600 + each for at, each in zip(times, noise, strict=True)])
        assert found is not None
        held += found.low <= 3 <= found.high
    assert held >= 0.9 * 400


def _service(worker: str, per_hour: float, seconds: float = _DAY, level: float = 100.0) -> ServiceFigures:
    chance = random.Random(3)  # noqa: S311 - repeatable
    count = 1000
    times = [seconds * number / count for number in range(count + 1)]
    noise = list(_noise(chance, count + 1, 0.9))
    figures: list[Figures] = [
        {
            "memory": (level + 20 * min(1, 20 * at / seconds) + per_hour * at / 3600 + each) * _MIB,
            "tasks": 40 + round(each),
        }
        for at, each in zip(times, noise, strict=True)
    ]
    return ServiceFigures(
        "", 5, tuple(ServiceSample(at, {worker: each}) for at, each in zip(times, figures, strict=True))
    )


def test_growing_memory_fails() -> None:
    """12 MB an hour are told as such, with their interval, and are a FAIL; filling caches at the start are not growth."""
    (trend,) = trends(_service("a", 12), Steady(memory_mb_per_hour=1), _DAY)
    assert trend.verdict == "FAIL"
    assert trend.low is not None
    assert trend.high is not None
    assert 11.8 < trend.low < 12 < trend.high < 12.2
    assert trend.says.startswith("memory: grows 12 MB/h (1")
    assert trend.worker == "a"


def test_what_only_wanders_passes() -> None:
    """Noise is called noise, in memory and in tasks."""
    memory, tasks = trends(_service("a", 0), Steady(memory_mb_per_hour=1, tasks_per_hour=0.5), _DAY)
    assert (memory.verdict, tasks.verdict) == ("PASS", "PASS")
    assert memory.says.startswith("memory: no growth within noise")


def test_what_is_not_clear_is_not_judged() -> None:
    """In ten minutes noise of a megabyte hides a megabyte an hour; a service that says nothing cannot be judged either."""
    (short,) = trends(_service("a", 0, seconds=600), Steady(memory_mb_per_hour=1), 600)
    assert short.verdict == "TOO FEW"
    assert "not clear" in short.says
    (early,) = trends(_service("a", 20, seconds=45, level=1000), Steady(memory_mb_per_hour=1), 45)
    assert early.verdict == "TOO FEW"
    (silent,) = trends(None, Steady(memory_mb_per_hour=1), _DAY)
    assert silent.verdict == "TOO FEW"
    (missing,) = trends(_service("a", 0), Steady(open_files_per_hour=1), _DAY)
    assert missing.verdict == "TOO FEW"


def test_one_growing_process_is_found_among_others() -> None:
    """The one that grows speaks for all; one that was replaced early is not judged, as it began with caches to fill."""
    steady, growing = _service("a", 0), _service("b", 12)
    late = _service("c", 500).samples
    both = tuple(
        ServiceSample(one.at, one.workers | other.workers | (last.workers if one.at > 0.8 * _DAY else {}))
        for one, other, last in zip(steady.samples, growing.samples, late, strict=True)
    )
    (trend,) = trends(ServiceFigures("", 5, both), Steady(memory_mb_per_hour=1), _DAY)
    assert (trend.verdict, trend.worker) == ("FAIL", "b")
