"""The proofs that the guide and the page on security name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.registry import BENCHMARKS
from loadgen.plan import load_scenario

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "guide.md").read_text()
SECURITY = (ROOT / "docs" / "security.md").read_text()


@pytest.mark.parametrize("proof", sorted(set(re.findall(r"`([\w/]+\.py::\w+)`", GUIDE + SECURITY))))
def test_a_proof_that_a_page_names_is_there(proof: str) -> None:
    """Each test that the pages refer to is in the file that they say."""
    file, _, name = proof.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)


def test_scenarios_and_benchmarks_of_the_guide_are_there() -> None:
    """So are the load scenarios and benchmarks."""
    for name in re.findall(r"SCENARIO=(\w+)", GUIDE):
        assert load_scenario(name).name == name
    assert set(re.findall(r"ROWS=(\w+)", GUIDE)) <= {benchmark.name for benchmark in BENCHMARKS}
