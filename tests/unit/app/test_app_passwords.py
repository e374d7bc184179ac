"""The hashing queue."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from nacl.pwhash import argon2id

from app.errors import HashingBusy
from app.security import passwords as module
from app.security.passwords import Passwords, canonical
from observability.record.meters import HashMeter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
def meter() -> HashMeter:
    """Count."""
    return HashMeter(1, 2)


@pytest.fixture
async def passwords(meter: HashMeter) -> AsyncIterator[Passwords]:
    """Hash in one thread; two more may wait."""
    opened = Passwords(threads=1, queue=2, meter=meter)
    await opened.open()
    yield opened
    opened.close()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let hashing threads wait until the event is set."""
    go = threading.Event()
    monkeypatch.setattr(module, "_hash", lambda _: str(go.wait(10)))
    yield go
    go.set()


async def test_a_password_matches_its_own_hash_only(passwords: Passwords) -> None:
    """Right is right, wrong is wrong, and no hash at all is wrong too."""
    encoded = await passwords.hash("correct horse")
    assert encoded.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(encoded, "correct horse")
    assert not await passwords.verify(encoded, "correct house")
    assert not await passwords.verify(None, "correct horse")
    assert not await passwords.verify(None, "a password that nobody has")


async def test_it_matters_not_how_a_character_was_typed(passwords: Passwords) -> None:
    """Composed and decomposed accents are one password (NFKC)."""
    assert await passwords.verify(await passwords.hash("caf\u00e9 caf\u00e9"), "cafe\u0301 cafe\u0301")
    assert canonical("\uff41") == b"a"


@pytest.mark.parametrize("encoded", ["x", "$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHQ$" + "A" * 43, "$argon2id$v=19$m=19456,t=9999,p=1$c29tZXNhbHQ$" + "A" * 43])  # fmt: skip
async def test_a_tampered_hash_costs_nothing_and_matches_nothing(passwords: Passwords, encoded: str) -> None:
    """Parameters read from a row are capped, so that a row cannot be made to exhaust memory or time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argon2id, "verify", lambda *_: pytest.fail("it was verified"))
        assert not await passwords.verify(encoded, "x")


async def test_past_the_queue_the_next_is_refused(
    passwords: Passwords, meter: HashMeter, held: threading.Event
) -> None:
    """One runs, two wait, the fourth is told to come back; afterwards all slots are free again."""
    tasks = [asyncio.create_task(passwords.hash("x")) for _ in range(3)]
    await asyncio.sleep(0.05)
    with pytest.raises(HashingBusy):
        await passwords.hash("x")
    assert (meter.queued, meter.refused) == (2, 1)
    held.set()
    await asyncio.gather(*tasks)
    await passwords.hash("x")
    assert meter.queued == 0


async def test_a_caller_that_leaves_frees_no_slot_before_its_thread_ends(
    passwords: Passwords, held: threading.Event
) -> None:
    """Cancelled requests must not let more work in than the threads can do."""
    tasks = [asyncio.create_task(passwords.hash("x")) for _ in range(3)]
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(HashingBusy):
        await passwords.hash("x")
    held.set()
    for _ in range(100):
        try:
            await passwords.hash("x")
        except HashingBusy:
            await asyncio.sleep(0.01)
        else:
            return
    raise AssertionError("the slots were never freed")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x" * 257, "in UTF-8$"),
        ("a" + "\u0315" * 16_000 + "\u0300" * 16_000, "in UTF-8$"),
        ("\ufdfa" * 20, "in its normal form"),
    ],
)
async def test_a_password_that_is_too_long_is_refused_before_it_is_normalised(
    passwords: Passwords, text: str, said: str
) -> None:
    """Normalising 64 KB of the right characters takes a second of the event loop; only what is short gets that far."""
    with pytest.raises(ValueError, match=said):
        canonical(text)
    assert not await passwords.verify(await passwords.hash("correct horse"), text)
