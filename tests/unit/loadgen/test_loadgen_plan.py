"""Scenarios, and what is said of those that cannot be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from loadgen.errors import PlanError, TargetError
from loadgen.flags import changed
from loadgen.plan import change_scenario, load_scenario, scenarios
from loadgen.prepare import spare_sessions
from loadgen.scenario import Scenario
from loadgen.target import parse_target

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.parametrize(
    "scenario", [each for each in scenarios() if each.shape != "closed"], ids=lambda scenario: scenario.name
)
def test_every_endpoint_can_be_judged(scenario: Scenario) -> None:
    """In a scenario of the package that has a rate, each step comes at least 59 times: enough for a p95."""
    if scenario.journey:
        sent = Counter(step for journey in scenario.journey for step in journey.steps * journey.weight)
    else:
        sent = Counter(scenario.mix)
    assert min(sent.values()) * scenario.requests / sent.total() >= 59


@pytest.mark.parametrize(
    ("name", "summary", "errors"),
    [
        ("peak", "500 users, 5,000 req/min, 10 min", 0.001),
        ("spike", "100 to 1,000 users, 1,000 to 10,000 req/min, 3 min", 1.0),
        ("soak", "100 users, 1,000 req/min, 24 h", 0.01),
        ("sustained", "200 users, 11,300 req/min, 2 min", 0.01),
        ("throughput", "500 users, 56,500 req/min, 2 min", 0.001),
    ],
)
def test_the_announced_loads_are_there(name: str, summary: str, errors: float) -> None:
    """Peak, spike, soak and throughput are what they are said to be."""
    scenario = load_scenario(name)
    assert (scenario.summary, scenario.allowed_error_rate) == (summary, errors)


@pytest.mark.parametrize(
    ("name", "a_minute"),
    [
        ("sustained", {"register": 100, "login": 1000, "check": 5000, "me": 5000, "profile": 200}),
        ("throughput", {"register": 500, "login": 5000, "check": 25_000, "me": 25_000, "profile": 1000}),
    ],
)
def test_throughput_is_that_of_its_operations(name: str, a_minute: dict[str, int]) -> None:
    """Each operation comes as often as its row says; validations are half checks, half looks at oneself."""
    scenario = load_scenario(name)
    size = sum(scenario.mix.values())
    assert {step: scenario.rate_per_minute * share / size for step, share in scenario.mix.items()} == a_minute


def test_a_spike_allows_no_500() -> None:
    """It may shed, but not break."""
    assert load_scenario("spike").allowed_server_errors == 0


def test_an_unknown_scenario_is_answered_with_the_known_ones() -> None:
    """The message names every scenario that there is."""
    with pytest.raises(
        PlanError, match=r"unknown scenario 'nope'; the known ones are baseline, journeys, knee, peak, smoke"
    ):
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


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seconds": None}, "seconds: missing"),
        ({"stage": [{"seconds": 3}]}, "the stages say how long"),
        ({"stage": [{"seconds": 5, "users": 2}]}, "may only grow"),
        ({"rate_per_minute": 0}, "rate_per_minute: missing"),
        ({"shape": "closed"}, "a closed scenario has users who think"),
        ({"think": {"mean_s": 1}}, "nobody thinks"),
        ({"shape": "journeys"}, "belong together"),
        ({"journey": [{"steps": ["check"]}]}, "belong together"),
        ({"shape": "journeys", "journey": [{"steps": ["check"]}]}, "with journeys there is no mix"),
        ({"connections": 4}, "connections: more than users"),
        ({"processes": 4}, "processes: each one needs a user"),
        ({"connections": 1, "processes": 2}, "processes: each one needs a user"),
        ({"prepare": ["login"]}, "they belong to requests of your own"),
        ({"request": {"a": {"path": "/"}}}, "unknown step 'check'"),
        ({"request": {"check": {"path": "/{id}"}}}, "{id} is neither in"),
        ({"request": {"check": {"path": "/{0}"}}}, "not the name of a value"),
        ({"request": {"check": {"path": "/{"}}}, "request.check"),
        ({"request": {"check": {"path": "/", "json": {}, "text": ""}}}, "either json or text"),
        ({"request": {"check": {"path": "/", "capture": {"a": "b"}}}}, "neither a JSON pointer"),
        ({"request": {"check": {"path": "/", "headers": {"A": "b\r\nC: d"}}}}, "without line breaks"),
        ({"request": {"check": {"path": "/", "headers": {"Traceparent": "x"}}}}, "written by the generator itself"),
        ({"data": {"a": []}, "request": {"check": {"path": "/"}}}, "a list may not be empty"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, Any], says: str) -> None:
    """Shapes, stages, users and requests that do not go together are told by name."""
    fields = {"name": "mine", "users": 3, "rate_per_minute": 60, "seconds": 5, "mix": {"check": 1}}
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(fields | changes, Scenario)
    assert says in str(caught.value)


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


def test_anything_else_can_be_said_otherwise_for_one_run() -> None:
    """Shares of the mix, a part of a table that was not there, one of several stages, a list, and nothing but those."""
    smoke, spike = load_scenario("smoke"), load_scenario("spike")
    texts = ("mix.login=50", "timeouts.connect_s = 0.5", 'stop=[{figure="error_rate", above=0.5}]')
    plan = changed(smoke, {"sets": texts, "users": 7})
    assert (plan.mix, plan.users) == ({**smoke.mix, "login": 50}, 7)
    assert (plan.timeouts.connect_s, plan.stop[0].above) == (0.5, 0.5)
    assert (plan.seconds, plan.rate_per_minute) == (smoke.seconds, smoke.rate_per_minute)
    risen = changed(spike, {"sets": ("stage.1.users=300", "allowed_server_errors=null")})
    assert (risen.most_users, risen.allowed_server_errors) == (300, None)
    assert changed(load_scenario("journeys"), {"sets": ("think.mean_s=1",)}).think.mean_s == 1


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
