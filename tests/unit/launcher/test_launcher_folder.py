"""Claims about the data folder."""

import stat
from pathlib import Path

import pytest

from app.launcher import Instance, LauncherError, running_instance
from app.launcher.folder import console_token, hold, last_instance, mail_secret, publish

INSTANCE = Instance(pid=1, url="http://127.0.0.1:8000", database_url="d", redis_url="r", console_token="t")


def test_second_holder_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    """Two launchers never share a data folder."""
    with (
        hold(tmp_path),
        pytest.raises(LauncherError, match=r"another gatewatch serve \(pid \d+\) uses"),
        hold(tmp_path),
    ):
        pass


def test_lock_is_taken_away(tmp_path: Path) -> None:
    """A folder that nobody holds any more holds no lock file and can be held again."""
    with hold(tmp_path):
        pass
    assert not (tmp_path / "lock").exists()
    with hold(tmp_path):
        pass


def test_instance_is_found_only_while_its_launcher_runs(tmp_path: Path) -> None:
    """A record that a killed launcher left is not taken for a running instance."""
    with hold(tmp_path):
        publish(tmp_path, INSTANCE)
        assert running_instance(tmp_path) == INSTANCE
    assert running_instance(tmp_path) is None
    assert last_instance(tmp_path) == INSTANCE


def test_secrets_are_private(tmp_path: Path) -> None:
    """Nobody else may read the console's token, the secret behind tokens in mails, or the servers' passwords."""
    publish(tmp_path, INSTANCE)
    console_token(tmp_path)
    mail_secret(tmp_path)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"instance.json": 0o600, "console-token": 0o600, "mail-secret": 0o600}


def test_made_up_token_is_kept(tmp_path: Path) -> None:
    """The console's address stays the same over a restart."""
    assert console_token(tmp_path) == console_token(tmp_path)
    assert len(console_token(tmp_path)) >= 43
    assert mail_secret(tmp_path) == mail_secret(tmp_path) != console_token(tmp_path)


def test_unusable_folder_is_one_line(tmp_path: Path) -> None:
    """A data folder that cannot be made is named, with the setting that chooses another."""
    (tmp_path / "file").touch()
    with pytest.raises(LauncherError, match="GATEWATCH_DATA_DIR"), hold(tmp_path / "file" / "data"):
        pass
