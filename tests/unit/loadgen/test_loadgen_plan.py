"""Scenarios, and what is said of those that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadgen.errors import PlanError, TargetError
from loadgen.plan import change_scenario, load_scenario, scenarios
from loadgen.prepare import spare_sessions
from loadgen.target import parse_target

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.scenario import Scenario

GOOD = """
name = "mine"
users = 3
rate_per_minute = 60
seconds = 5
[mix]
check = 1
"""


def test_the_package_brings_the_guides_baseline() -> None:
    """Baseline is 100 users at 1,000 requests a minute for five minutes, and says so."""
    baseline = load_scenario("baseline")
    assert (baseline.users, baseline.rate_per_minute, baseline.length) == (100, 1000, 300)
    assert baseline.summary == "100 users, 1,000 req/min, 5 min"
    assert baseline.requests == 5000


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_every_endpoint_has_five_percent(scenario: Scenario) -> None:
    """No step of a scenario that comes with the package is rarer than one request in twenty."""
    mix = scenario.mix
    assert sum(mix.values()) == 100
    assert min(mix.values()) >= 5


def test_an_unknown_scenario_is_answered_with_the_known_ones() -> None:
    """The message names every scenario that there is."""
    with pytest.raises(PlanError, match=r"unknown scenario 'nope'; the known ones are baseline, smoke"):
        load_scenario("nope")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("users = 3", ""),
        ("users = 0", "users"),
        ("rate_per_minute = nan", "rate_per_minute"),
        ("seconds = -1", "seconds"),
        ("timeout_s = 500", "timeout_s"),
        ('name = "No Spaces"', "name"),
        ("colour = 1", "colour"),
        ("users = [", "line"),
    ],
)
def test_a_broken_scenario_is_named_with_its_fault(tmp_path: Path, change: str, says: str) -> None:
    """The message names the file and the field, and a whole scenario has no message."""
    key = change.split(" ", maxsplit=1)[0]
    lines = [line for line in GOOD.splitlines() if not line.startswith(f"{key} ")]
    path = tmp_path / "mine.toml"
    path.write_text("\n".join([change, *lines]))
    if not says:
        assert load_scenario(str(path)).users == 3
        return
    with pytest.raises(PlanError) as caught:
        load_scenario(str(path))
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("mix", "says"),
    [
        ("fly = 1", "unknown step 'fly'"),
        ("check = 0", "at least one step"),
        ("login = 1\nlogout = 2", "logout may not exceed login"),
    ],
)
def test_a_mix_that_cannot_be_is_refused(tmp_path: Path, mix: str, says: str) -> None:
    """Unknown steps, an empty mix, and more logouts than logins are refused before anything is sent."""
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace("check = 1", mix))
    with pytest.raises(PlanError, match=says):
        load_scenario(str(path))


def test_a_missing_file_and_bytes_that_are_no_text_are_clear(tmp_path: Path) -> None:
    """Neither ends in a traceback."""
    with pytest.raises(PlanError, match="cannot read scenario"):
        load_scenario(str(tmp_path / "none.toml"))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match=r"binary\.toml"):
        load_scenario(str(binary))


def test_flags_are_checked_like_the_file() -> None:
    """A changed field must fit too, and the rest stays."""
    assert change_scenario(load_scenario("smoke"), {"users": 7}).users == 7
    with pytest.raises(PlanError, match="users"):
        change_scenario(load_scenario("smoke"), {"users": -7})


def test_spare_sessions_cover_two_blocks_and_what_is_under_way() -> None:
    """A hundred users at five logouts in a hundred begin with fifteen spare sessions."""
    assert spare_sessions(load_scenario("baseline"), 100) == 15


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ftp://127.0.0.1", "must look like"),
        ("127.0.0.1:8000", "must look like"),
        ("http://", "must look like"),
        ("http://127.0.0.1:99999", "must look like"),
        ("http://[::1", "must look like"),
        ("http://127.0.0.1:8000/api", "nothing more"),
        ("http://me:secret@127.0.0.1", "nothing more"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused(text: str, says: str) -> None:
    """Nothing of an address is ignored in silence."""
    with pytest.raises(TargetError, match=says):
        parse_target(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:9/", "http://[::1]:9"),
        ("http://service", "http://service:80"),
    ],
)
def test_a_target_is_a_host_and_a_port(text: str, url: str) -> None:
    """Names, IPv4 and IPv6 are understood; without a port it is 80."""
    assert parse_target(text).url == url
