"""The Prometheus rules file: every rule of the targets file, over metrics that /metrics has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner

import app
from app.__main__ import cli
from observability.model import BurnRule, RedisServer, RouteTarget, Slo, encode_snapshot, load_slo
from observability.model.snapshot import decode_snapshot
from observability.publish.prometheus import Answer, exposition_of
from observability.read.prometheus_rules import rules_file
from observability.record import Recorder
from observability.telemetry import INTERNAL, bounds_of

SLO = load_slo(Path(app.__file__).with_name("slo.toml"))


def _rules(slo: Slo) -> list[dict[str, Any]]:
    content = msgspec.yaml.decode(rules_file(slo, INTERNAL).encode())
    (group,) = content["groups"]
    return list(group["rules"])


def _metrics() -> str:
    """Return what /metrics says of a worker that has answered each route, well and not."""
    recorder = Recorder(instance="here", bounds=bounds_of(SLO))
    for target in SLO.route:
        for status in (200, 500):
            recorder.requests.record(target.method, target.route, status, "", 0.01)
    recorder.redis = RedisServer("run")
    recorder.database_cpu = 0.5
    snapshot = decode_snapshot(encode_snapshot(recorder.snapshot()))
    return exposition_of(Answer([snapshot], complete=True), {}, "")[0].decode()


def test_every_rule_and_subject_is_there() -> None:
    """The guide's four, latency for each route, and each burn for each objective."""
    rules = _rules(SLO)
    names = [rule["alert"] for rule in rules]
    assert {name: names.count(name) for name in names} == {
        "latency": len(SLO.route),
        "errors": 1,
        "database-cpu": 1,
        "evictions": 1,
        "fast-burn": 2 * len(SLO.route),
        "slow-burn": 2 * len(SLO.route),
    }
    assert {rule["for"] for rule in rules} == {"300s", "0s"}
    assert all(rule["annotations"]["summary"] for rule in rules)


def test_rules_are_over_what_metrics_has() -> None:
    """Each metric, label, route and bucket that a rule names is one that /metrics shows."""
    shown = _metrics()
    names = set(re.findall(r"^([a-z_]+)[{ ]", shown, re.MULTILINE))
    labels = {*re.findall(r'([a-z_]+)="', shown)}
    for rule in _rules(SLO):
        expression = rule["expr"]
        assert {name for name in re.findall(r"([a-z_]+)[{)\[]", expression) if "_" in name[4:]} <= names | {"by"}
        for label, value in re.findall(r'([a-z_]+)="([^"]*)"', expression):
            assert label in labels
            assert not value or f'{label}="{value}"' in shown
        assert expression.count("(") == expression.count(")")


def test_burn_windows_are_the_file_s_own() -> None:
    """Prometheus looks at the whole of a window that is longer than our own history."""
    route = RouteTarget(name="a", method="GET", route="/it's", p95_ms=100, availability_objective=0.99)
    slow = BurnRule(name="slow", factor=6, long_seconds=21600, short_seconds=1800)
    (rule,) = _rules(Slo(route=(route,), burn=(slow,)))
    assert "[21600s]" in rule["expr"]
    assert "[1800s]" in rule["expr"]
    assert "> 6.0 * 0.01" in rule["expr"]
    assert 'http_route="/it\'s"' in rule["expr"]
    assert rule["labels"] == {"route": "a", "objective": "availability"}


def test_the_command_prints_the_file(tmp_path: Path) -> None:
    """`gatewatch alerts rules` prints the rules of the targets file in use, and one line when that cannot be read."""
    result = CliRunner().invoke(cli, ["alerts", "rules"], env={"GATEWATCH_SLO": ""})
    assert result.output == rules_file(SLO, INTERNAL)
    broken = tmp_path / "slo.toml"
    broken.write_text("[[burn]]\nname = 'b'\nfactor = 2\nlong_seconds = 60\nshort_seconds = 60\n")
    result = CliRunner().invoke(cli, ["alerts", "rules"], env={"GATEWATCH_SLO": str(broken)})
    assert result.exit_code == 1
    assert "not shorter" in result.output
