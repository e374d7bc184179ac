"""What is drawn, by its figures."""

from __future__ import annotations

import re

import pytest
from unit.loadgen.reporting import made

from loadgen.charts import Series, bars, bullet, heatmap, lines, percentiles
from loadgen.drawing import ACROSS, DOWN, LEFT, TOP, Times, even_scale, fitting_scale
from loadgen.durations import duration
from loadgen.intervals import Interval
from loadgen.timeline import Timeline
from observability.model import Histogram

TIMES = Times((0.0, 1.0, 2.0), 1.0, 3.0)


@pytest.mark.parametrize(("seconds", "width"), [(30, 1), (110, 1), (111, 2), (440, 4)])
def test_a_run_is_cut_into_few_enough_columns_and_nothing_is_lost(seconds: int, width: int) -> None:
    """Columns are whole blocks of equal length, cover the run without a gap, and add up to it; each endpoint's, too."""
    result = made(seconds=seconds)
    timeline = Timeline(result, 110)
    columns = timeline.columns
    assert [column.at for column in columns] == list(range(0, seconds, width))
    assert sum(column.planned for column in columns) == 10 * seconds
    assert sum(column.response.count for column in columns) == result.status.completed
    assert sum(column.seconds for column in columns) == seconds
    first = result.endpoints[0]
    assert [found.count for found in timeline.of(first.blocks)] == [10 * column.seconds for column in columns]
    assert Histogram.of(*timeline.of(first.blocks)).freeze().counts == first.response.counts


def test_an_even_scale_has_round_ticks_from_zero() -> None:
    """They reach what is largest, and its place is its share of the height."""
    scale = even_scale([3.0, 71.0])
    assert scale.ticks == (0.0, 20.0, 40.0, 60.0, 80.0)
    assert (scale(0.0), scale(40.0), scale(80.0), scale(999.0)) == (0.0, 0.5, 1.0, 1.0)
    assert even_scale([]).ticks[0] == 0.0


def test_values_that_are_wide_apart_get_a_logarithmic_scale() -> None:
    """A failure of ten seconds leaves the milliseconds to be seen."""
    scale = fitting_scale([0.002, 10.0])
    assert scale.log
    assert scale.ticks == pytest.approx((0.01, 0.1, 1.0, 10.0))
    assert scale(0.2) - scale(0.02) == pytest.approx(scale(2.0) - scale(0.2))
    assert not fitting_scale([0.01, 0.02]).log


def test_bars_stand_upon_each_other() -> None:
    """The second begins where the first ends, and together they reach their sum."""
    chart = str(bars("errors", TIMES, [Series("a", (4.0, None, 0.0), "e1"), Series("b", (4.0, None, 0.0), "e2")], str))
    tops = [float(top) for top in re.findall(r'class="bar e\d" d="M[\d.]+ ([\d.]+)h', chart)]
    bottoms = [float(bottom) for bottom in re.findall(r"V([\d.]+)h-", chart)]
    assert (bottoms, tops) == ([TOP + DOWN, TOP + DOWN / 2], [TOP + DOWN / 2, TOP])


def test_a_line_is_broken_where_there_is_nothing() -> None:
    """What is not known is neither zero nor drawn over, and who points there is told so."""
    chart = str(lines("p95", TIMES, [Series("p95", (0.1, None, 0.1), "s1")], duration))
    (path,) = re.findall(r'class="line s1" d="([^"]+)"', chart)
    middle = LEFT + ACROSS / 6
    assert path.count("M") == 2
    assert path.startswith(f"M{middle:.1f} ")
    assert "<title>0:01\np95 -</title>" in chart


def test_percentiles_are_told_where_one_points() -> None:
    """Each nine has the same room, as far as there are requests to tell it by."""
    histogram = Histogram()
    for number in range(1, 1001):
        histogram.record(number / 1000)
    chart = str(percentiles("all", [("response", "s1", histogram.freeze())]))
    found = re.findall(r'class="along" x="([\d.]+)" y="\d+">([\d.]+) %', chart)
    nines = [float(x) for x, share in found if share in {"0", "90", "99", "99.9"}]
    assert nines == pytest.approx([LEFT, LEFT + ACROSS / 3, LEFT + ACROSS * 2 / 3, LEFT + ACROSS], abs=0.2)
    assert f"<title>95 %\nresponse {duration(histogram.quantile(0.95))}</title>" in chart


def test_a_heatmap_shades_by_how_many() -> None:
    """The fullest cell has the strongest shade, one with a hundredth of its requests a weak one; each is in its column."""
    full, few = Histogram(), Histogram()
    for _ in range(900):
        full.record(0.01)
    for _ in range(9):
        few.record(0.1)
    chart = str(heatmap("login", TIMES, [full.freeze(), few.freeze(), Histogram().freeze()]))
    drawn = re.findall(r'class="heat (h\d)" stroke-width="[\d.]+" d="M([\d.]+) ', chart)
    assert drawn == [("h1", f"{LEFT + ACROSS / 2:.0f}"), ("h5", f"{LEFT + ACROSS / 6:.1f}")]
    assert f"9 requests\np50 {duration(few.quantile(0.5))}" in chart


def test_a_figure_above_its_target_looks_so() -> None:
    """And an interval without an upper end reaches as far as there is room."""
    assert 'class="value over"' in bullet(0.3, 0.2, Interval(0.2, None))
    assert "H96" in bullet(0.3, 0.2, Interval(0.2, None))
    assert 'class="value under"' in bullet(0.1, 0.2, None)
    assert "whisker" not in bullet(0.1, 0.2, None)
