"""How two runs are laid side by side, and what is said of them."""

from __future__ import annotations

from console.comparing import overlaid, rows_of, said_of, signed
from console.ports import LoadColumns
from console.tuning import Comparison, Difference

SLOWER = Difference("login", "p95", 0.018, 1.24, 1.2, 1.26, "real")
FASTER = Difference("me", "p50", 0.004, 0.002, -0.0025, -0.0015, "real")
NOISE = Difference("me", "p95", 0.010, 0.011, -0.002, 0.004, "noise")
FEW = Difference("me", "p99", 0.03, None, None, None, "too few")


def test_what_is_certain_is_named_and_what_is_not_is_not() -> None:
    """Only real differences are called slower or faster; what there are too few requests for is counted."""
    assert said_of(Comparison("a", "b", (SLOWER, FASTER, NOISE, FEW))) == (
        "Slower in the second run: login (p95). Faster in the second run: me (p50). "
        "Of 1 of 4 figures there are too few requests to say."
    )
    assert said_of(Comparison("a", "b", (NOISE,))) == "No difference is more than noise."
    assert said_of(Comparison("a", "b", refusal="Run a is INVALID.")) == "Run a is INVALID."


def test_a_row_says_how_much_and_which_way() -> None:
    """A difference has a sign, an interval, and a bar whose middle is none, cut at its ends."""
    slower, faster, noise, few = rows_of(Comparison("a", "b", (SLOWER, FASTER, NOISE, FEW)))
    assert (slower.change, slower.interval, slower.share) == ("+1.22 s", "+1.20 s to +1.26 s", "+6,789 %")
    assert (slower.word, slower.tone, slower.bar) == ("slower", "bad", (99, 1))
    assert (faster.word, faster.tone, faster.bar) == ("faster", "good", (18.75, 12.5))
    assert (noise.word, noise.tone, noise.bar) == ("noise", "none", (40.0, 30.0))
    assert (few.word, few.tone, few.bar, few.change) == ("too few", "faint", None, "\N{EN DASH}")
    assert [row.rows for row in (slower, faster, noise, few)] == [1, 3, 0, 0]


def test_no_difference_has_no_sign() -> None:
    """Zero is neither more nor less."""
    assert [signed(0.0), signed(-0.002), signed(None)] == ["0 ms", "\N{MINUS SIGN}2.00 ms", "\N{EN DASH}"]


def test_two_runs_lie_over_each_other_by_seconds_since_their_start() -> None:
    """What one run has and the other has not is a gap."""
    before = LoadColumns(1000.0, (0.0, 1.0), p50=(0.1, None), p95=(0.2, 0.3), p99=(0.3, 0.4))
    after = LoadColumns(2000.0, (0.0, 1.0, 2.0), p50=(0.5, 0.6, 0.7), p95=(1.0, 1.0, 1.0), p99=(2.0, 2.0, 2.0))
    laid = overlaid(before, after)
    assert laid["at"] == [0.0, 1.0, 2.0]
    assert laid["before_p50"] == [0.1, None, None]
    assert laid["after_p50"] == [0.5, 0.6, 0.7]
