"""Whose stores a command works on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from app.__main__ import _instance_settings, _with_running_instance
from app.launcher import Instance
from app.launcher.folder import hold, publish
from app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATABASE = "postgres://me@127.0.0.1:1/ours"
REDIS = "redis://127.0.0.1:2/0"


@pytest.fixture(autouse=True)
def _instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let an instance run on the data folder, as far as commands can see."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("GATEWATCH_DATA_DIR", str(tmp_path))
    with hold(tmp_path):
        publish(tmp_path, Instance(pid=1, url="u", database_url=DATABASE, redis_url=REDIS, console_token="t"))
        yield


@pytest.mark.parametrize("named", [{}, {"DATABASE_URL": DATABASE}, {"REDIS_URL": REDIS}])
def test_what_is_not_named_is_the_running_instances(named: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Either store may be left out, and both."""
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    settings = _with_running_instance(Settings.from_environment(os.environ))
    assert (settings.database_url, settings.redis_url) == (DATABASE, REDIS)


def test_another_database_does_not_get_this_instances_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caches would be left as they are, and sessions that ended would go on."""
    monkeypatch.setenv("DATABASE_URL", "postgres://me@127.0.0.1:1/another")
    with pytest.raises(SettingsError, match="REDIS_URL is not"):
        _instance_settings()
