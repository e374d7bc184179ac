"""Settings as they are shown: where each comes from, and no secrets."""

from __future__ import annotations

from app.settings import FIELDS
from app.tuning.in_force import settings_in_force

ENVIRONMENT = {
    "DATABASE_URL": "postgres://ann:hunter2@db/app",
    "SMTP_URL": "smtp://ann:hunter2@mail",
    "GATEWATCH_CONSOLE_TOKEN": "hunter2" * 4,
    "GATEWATCH_SECRET": "hunter2" * 4,
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=hunter2",
    "OTEL_EXPORTER_JAEGER_PASSWORD": "hunter2",
    "GATEWATCH_PORT": "9000",
    "GATEWATCH_DATA_DIR": "/var/lib/gatewatch",
    "HOME": "/root",
}


def test_each_setting_is_told_with_its_origin_and_no_secret() -> None:
    """What the launcher added is no choice of anybody's, live settings are told elsewhere, and secrets are only set or not."""
    given = set(ENVIRONMENT) - {"GATEWATCH_DATA_DIR"}
    found = {each.variable: each for each in settings_in_force(ENVIRONMENT, given, {"GATEWATCH_POOL_SIZE"})}
    assert set(found) == {field.name for field in FIELDS} - {"GATEWATCH_POOL_SIZE"} | {
        name for name in ENVIRONMENT if name.startswith("OTEL")
    }
    assert "hunter2" not in repr(found)
    told = {name: (found[name].value, found[name].origin) for name in found}
    assert told["GATEWATCH_PORT"] == ("9000", "environment")
    assert told["GATEWATCH_DATA_DIR"] == (".data", "default")
    assert told["DATABASE_URL"] == ("set", "environment")
    assert told["DATABASE_REPLICA_URLS"] == ("not set", "default")
    assert told["GATEWATCH_QUERY_TIMEOUT"] == ("5", "default")
