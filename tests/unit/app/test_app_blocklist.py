"""Common passwords."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from app.passwords import password_rule
from app.security.blocklist import Blocklist
from app.settings import DEFAULT_BLOCKLIST, Settings, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

RULE = password_rule(Settings())


def test_the_list_in_the_package_has_what_it_says() -> None:
    """More than ten thousand, each as long as a password has to be."""
    assert len(Blocklist.load(DEFAULT_BLOCKLIST)) == 21_648
    with gzip.open(DEFAULT_BLOCKLIST, "rt", encoding="utf-8") as lines:
        assert all(len(line.rstrip("\n")) >= 8 for line in lines)


@pytest.mark.parametrize("text", ["password1", "PassWord1", "\uff50assword1", "qwertyuiop", "00000000"])
def test_a_common_password_is_refused_however_it_is_typed(text: str) -> None:
    """Capitals and full-width letters make it no better."""
    with pytest.raises(ValueError, match="most common passwords"):
        RULE(text, "ann@example.org")


@pytest.mark.parametrize("text", ["Gatewatch", "Jo.Bloggs@Example.org", "jo.bloggs"])
def test_who_and_where_one_is_is_no_secret(text: str) -> None:
    """The address, the name in it and the service's are refused, in any case."""
    with pytest.raises(ValueError, match="your address or the name of this service"):
        RULE(text, "jo.bloggs@example.org")
    if "@" in text:
        assert RULE(text, "ann@example.org") == text


def test_another_list_or_none_can_be_named(tmp_path: Path) -> None:
    """A plain file of one a line; a file that cannot be read is named."""
    file = tmp_path / "list.txt"
    file.write_text("Hunter2 Hunter2\r\nz\n", encoding="utf-8")
    rule = password_rule(Settings(password_blocklist=file))
    assert rule("password1") == "password1"
    with pytest.raises(ValueError, match="most common"):
        rule("hunter2 hunter2")
    assert password_rule(Settings(password_blocklist=None))("password1") == "password1"
    assert Settings.from_environment({"GATEWATCH_PASSWORD_BLOCKLIST": "none"}).password_blocklist is None
    for broken in (tmp_path / "absent", tmp_path / "list.gz"):
        (tmp_path / "list.gz").write_bytes(b"\x1f\x8b\x08\x00")
        with pytest.raises(SettingsError, match=f"GATEWATCH_PASSWORD_BLOCKLIST: .*{broken.name}"):
            password_rule(Settings(password_blocklist=broken))
