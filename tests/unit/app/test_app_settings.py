"""Settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import FIELDS, Settings, SettingsError

README = Path(__file__).parents[3] / "README.md"


def test_nothing_set_is_a_whole_configuration() -> None:
    """Twenty connections, five seconds of waiting and ten idle minutes are the defaults."""
    settings = Settings.from_environment({})
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 2)
    assert (settings.pool_size, settings.pool_max_wait, settings.pool_idle_timeout) == (20, 5, 600)
    assert settings.pool_size_of_worker == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_REPLICA_URLS", "postgres://a/b,c"),
        ("GATEWATCH_PORT", "80000"), ("GATEWATCH_PORT", "web"), ("GATEWATCH_WORKERS", "0"), ("GATEWATCH_POOL_MAX_WAIT", "nan"),
        ("GATEWATCH_CONSOLE_TOKEN", "short"), ("DATABASE_URL", "mysql://x/y"), ("DATABASE_URL", "postgres:///y"),
        ("REDIS_URL", "localhost"), ("GATEWATCH_LOAD", "maybe"), ("GATEWATCH_PROT", "8000"),
        ("GATEWATCH_TRUSTED_PROXIES", "proxy.example.org"), ("GATEWATCH_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("GATEWATCH_LIMIT_LOGINS", "10"), ("GATEWATCH_LIMIT_LOGINS", "0/min"), ("GATEWATCH_LIMIT_LOGINS", "10/0min"),
        ("GATEWATCH_CONSOLE_HOSTS", "http://x/"), ("GATEWATCH_CONSOLE_HOSTS", "x:8000"),
        ("GATEWATCH_LIMIT_LOGINS", "10/2h"), ("GATEWATCH_RATE_LIMITS", "maybe"),
        ("GATEWATCH_TRACE_URL", "javascript://x/{trace_id}"), ("GATEWATCH_TRACE_URL", "https://x/trace"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str) -> None:
    """The message names the setting, and one that does not exist is an error too."""
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({name: value})


def test_a_range_is_told_in_plain_numbers() -> None:
    """A year of seconds is no power of ten."""
    with pytest.raises(SettingsError, match=r"from 60 to 31536000$"):
        Settings.from_environment({"GATEWATCH_SESSION_LIFETIME": "1"})


def test_host_names_and_addresses_may_open_the_console() -> None:
    """They are compared in lower case."""
    settings = Settings.from_environment({"GATEWATCH_CONSOLE_HOSTS": "Gate.example.org, my_box, 10.0.0.1,::1"})
    assert settings.console_hosts == ("gate.example.org", "my_box", "10.0.0.1", "::1")


def test_a_refused_secret_is_not_repeated() -> None:
    """A password in a URL that is refused does not end up in a terminal or a log."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"DATABASE_URL": "mysql://ann:opensesame@x/y"})
    assert "opensesame" not in str(caught.value)


def test_the_pool_of_an_instance_is_divided_among_its_workers() -> None:
    """Together they never hold more than the instance may, except that each has one."""
    for workers in (1, 2, 3, 7, 20):
        assert Settings(workers=workers).pool_size_of_worker * workers <= 20
    assert Settings(workers=30).pool_size_of_worker == 1


def test_readme_has_every_setting_as_it_is() -> None:
    """The table in README is the list of settings, with the same words and defaults."""
    text = README.read_text()
    for field in FIELDS:
        assert f"| `{field.name}` | {field.default} | {field.says} |" in text
