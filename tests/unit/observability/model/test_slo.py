"""The targets file: what is wrong with it is said with its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from observability.model import SloError, load_slo

if TYPE_CHECKING:
    from pathlib import Path

ROUTE = '[[route]]\nname = "me"\nmethod = "GET"\nroute = "/me"\np95_ms = 100\n'


def test_targets_are_found_by_method_and_route(tmp_path: Path) -> None:
    """A route's target is in seconds; a route without one has none."""
    path = tmp_path / "slo.toml"
    path.write_text("fewest_samples = 3\n" + ROUTE)
    slo = load_slo(path)
    target = slo.target("GET", "/me")
    assert target is not None
    assert (target.p95, slo.fewest_samples) == (0.1, 3)
    assert slo.target("POST", "/me") is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("not = [toml", r"slo\.toml"),
        ("surprise = 1", "surprise: there is no such field"),
        (ROUTE + ROUTE, "two targets"),
        ("[[route]]", r"route\.0\.name: is missing"),
        (ROUTE.replace("100", "-1"), r"route\.0\.p95_ms: must be a number, above 0"),
        ("fewest_samples = 0", "fewest_samples: must be a whole number, 1 or more"),
    ],
)
def test_an_unusable_file_is_named(tmp_path: Path, content: str, says: str) -> None:
    """Bad TOML, an unknown field, a doubled or incomplete route, a target below nothing: one error that says which."""
    path = tmp_path / "slo.toml"
    path.write_text(content)
    with pytest.raises(SloError, match=says):
        load_slo(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is an SloError that names it."""
    with pytest.raises(SloError, match=r"nowhere\.toml"):
        load_slo(tmp_path / "nowhere.toml")
