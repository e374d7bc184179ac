"""What a benchmark's rows say."""

from __future__ import annotations

import pytest

from benchmarks.driver import Cost
from benchmarks.registry import BENCHMARKS, chosen
from benchmarks.table import Row, faster, markdown, paired, ratio_of


def _runs(*rates: float, cpu: float = 1e-4) -> list[Cost]:
    return [Cost(requests=1, rate=rate, cpu=cpu) for rate in rates]


def test_a_ratio_is_of_pairs() -> None:
    """Runs are compared with the ones beside them: a machine that grows slower for both changes nothing."""
    assert ratio_of([30, 15, 3], [10, 5, 1]) == {"ratio": 3, "lowest": 3, "highest": 3, "pairs": 3}
    assert ratio_of([10, 40, 20], [10, 10, 10]) == {"ratio": 2, "lowest": 1, "highest": 4, "pairs": 3}


@pytest.mark.parametrize(("rate", "met"), [(999, False), (1000, True)])
def test_a_throughput_is_met_from_its_target_on(rate: float, met: bool) -> None:
    """Ten times is ten times."""
    assert faster("a", "", _runs(rate), "b", _runs(100), 10).met is met


@pytest.mark.parametrize(("cpu", "met"), [(1.5, True), (1.51, False)])
def test_a_cost_is_met_up_to_its_target(cpu: float, met: bool) -> None:
    """One and a half times is still one and a half times."""
    assert paired("a", "b", 32, _runs(1, cpu=cpu), _runs(1, cpu=1), 1.5).met is met


def test_a_row_without_a_target_is_neither_met_nor_missed() -> None:
    """An empty cell stands for nothing aimed at; a miss is in bold."""
    _, _, plain, missed = markdown([Row(what="a"), Row(what="b", ratio=0.5, target="c", met=False)]).splitlines()
    assert plain == "| a |  |  |  |  |  |  |  |"
    assert missed == "| b |  |  |  |  | 0.50 | c | **no** |"


def test_a_cell_stays_a_cell() -> None:
    """Whatever an error said, the table keeps its shape."""
    *_, row = markdown([Row(what="a", ours="one\ntwo | three")]).splitlines()
    assert row == r"| a |  | one two \| three |  |  |  |  |  |"


def test_benchmarks_are_picked_by_name_in_the_order_of_the_table() -> None:
    """Whoever names none means all, and a name that is none is refused."""
    names = [benchmark.name for benchmark in BENCHMARKS]
    assert [benchmark.name for benchmark in chosen([])] == names
    assert [benchmark.name for benchmark in chosen([names[2], names[0]])] == [names[0], names[2]]
    with pytest.raises(KeyError):
        chosen(["nothing of ours"])
