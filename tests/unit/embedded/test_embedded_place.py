"""Claims about where embedded servers keep their files."""

from pathlib import Path

import pytest

from app.embedded import EmbeddedError, discard
from app.embedded.place import settle


def test_link_to_nowhere_is_refused(tmp_path: Path) -> None:
    """Data that is elsewhere and not there now is never silently replaced by an empty database."""
    (tmp_path / "postgres").symlink_to(tmp_path / "unmounted")
    with pytest.raises(EmbeddedError, match=r"points to .*unmounted"):
        settle(tmp_path / "postgres")


def test_discard_leaves_foreign_folders_alone(tmp_path: Path) -> None:
    """Discarding a link that somebody else made removes the link and not what it points to."""
    (tmp_path / "theirs" / "postgres").mkdir(parents=True)
    (tmp_path / "postgres").symlink_to(tmp_path / "theirs" / "postgres")
    discard(tmp_path / "postgres")
    assert not (tmp_path / "postgres").exists()
    assert (tmp_path / "theirs" / "postgres").is_dir()
