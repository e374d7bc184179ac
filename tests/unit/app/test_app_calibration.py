"""Calibration."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from app.hash_command import hash_commands
from app.security.calibration import Cost, compare, recommend
from app.security.hashes import Parameters

COSTS = [Cost(Parameters(19456, 2), 50, 0.040), Cost(Parameters(7168, 5), 100, 0.020)]


@pytest.mark.parametrize(
    ("seconds", "rate", "passes"),
    [(None, None, 5), (0.1, None, 16), (0.05, None, 12), (None, 50, 10), (0.05, 100, 5), (0.01, None, None), (None, 101, None)],
)  # fmt: skip
def test_the_quickest_of_equals_is_made_as_strong_as_the_target_allows(
    seconds: float | None, rate: float | None, passes: int | None
) -> None:
    """Passes cost in proportion; what the quickest cannot reach, nothing at that strength can."""
    chosen = recommend(COSTS, seconds=seconds, rate=rate)
    assert chosen == (Parameters(7168, passes) if passes else None)


def test_what_is_measured_adds_up() -> None:
    """Two threads make a hash each in the time that one takes."""
    [cost] = compare([Parameters(64, 1)], 2, 0.03)
    assert cost.rate * cost.seconds == pytest.approx(2)
    assert cost.rate > 0


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 0, "GATEWATCH_HASH_MEMORY_KIB="),
        (["--logins", "100000"], 1, "cannot do that at OWASP's strength; it takes "),
    ],
)
def test_the_command_says_what_to_set(options: list[str], code: int, said: str) -> None:
    """A table of the equals, and the settings; or how many instances it takes."""
    result = CliRunner().invoke(hash_commands, ["calibrate", "--threads", "1", "--seconds", "0.05", *options])
    assert (result.exit_code, said in result.output) == (code, True)
    assert all(str(memory) in result.output for memory in (47104, 19456, 12288, 9216, 7168))
