"""What is printed when the service serves."""

import dataclasses

import pytest

from app.launcher.banner import Running, banner

RUNNING = Running(
    url="http://127.0.0.1:8000",
    console_token="a-token-only-for-trying-it",
    workers=1,
    seconds=1.26,
    folder="/data",
    database_url="postgres://me:secret@there:5432/db",
    redis_url="redis://:secret@there/0",
    database_is_ours=False,
    redis_is_ours=True,
    load_allowed=False,
)


@pytest.mark.parametrize("allowed", [False, True])
def test_what_can_be_opened_and_done_is_told(*, allowed: bool) -> None:
    """The console's Start only where it is allowed, and no password of a store."""
    text = banner(dataclasses.replace(RUNNING, load_allowed=allowed))
    assert "ready after 1.3 s: 1 worker\n" in text
    assert "http://127.0.0.1:8000/console/login?token=a-token-only-for-trying-it\n" in text
    assert "there:5432/db\n" in text
    assert "there/0  (ours; keeps nothing)\n" in text
    assert "secret" not in text
    assert ("Start in the console" in text) is allowed
