"""Passwords hashed and verified, ours and those of other systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bcrypt
import pytest
from argon2 import PasswordHasher, Type

from app.security import hashes
from app.security.hashes import Parameters
from app.security.hashing import HashThreads
from app.security.passwords import Passwords, canonical
from app.settings import OWASP_ARGON2ID, Settings, SettingsError
from observability.record.meters import HashMeter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PARAMETERS = Parameters(8, 1)
"""The cheapest there are."""

FOREIGN = {
    "argon2id, four lanes": lambda p: PasswordHasher(1, 64, 4).hash(p),
    "argon2id, one lane": lambda p: PasswordHasher(1, 64, 1).hash(p),
    "argon2i, one pass": lambda p: PasswordHasher(1, 64, 1, type=Type.I).hash(p),
    "bcrypt 2b": lambda p: bcrypt.hashpw(p.encode()[:72], bcrypt.gensalt(4)).decode(),
    "bcrypt 2a": lambda p: bcrypt.hashpw(p.encode()[:72], bcrypt.gensalt(4, b"2a")).decode(),
    "bcrypt 2y": lambda p: bcrypt.hashpw(p.encode()[:72], bcrypt.gensalt(4)).decode().replace("$2b", "$2y"),
}


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    """Hash in one thread."""
    opened = Passwords(HashThreads(threads=1, queue=2, meter=HashMeter(1, 2)), PARAMETERS)
    await opened.open()
    yield opened
    opened.close()


async def test_a_password_matches_its_own_hash_only(passwords: Passwords) -> None:
    """Right is right, wrong is wrong, and no hash at all is wrong too."""
    encoded = await passwords.hash("correct horse")
    assert encoded.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert await passwords.verify(encoded, "correct horse")
    assert not await passwords.verify(encoded, "correct house")
    assert not await passwords.verify(None, "correct horse")
    assert not await passwords.verify(None, "a password that nobody has")


async def test_it_matters_not_how_a_character_was_typed(passwords: Passwords) -> None:
    """Composed and decomposed accents are one password (NFKC)."""
    assert await passwords.verify(await passwords.hash("caf\u00e9 caf\u00e9"), "cafe\u0301 cafe\u0301")
    assert canonical("\uff41") == b"a"


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("password", ["correct horse", "cafe\u0301 cafe\u0301", "x" * 100])
async def test_hashes_of_other_systems_are_verified_and_outdated(
    passwords: Passwords, kind: str, password: str
) -> None:
    """Whatever they did to what was typed: bcrypt reads 72 bytes, and few normalise."""
    encoded = FOREIGN[kind](password)
    hashes.admit(encoded)
    assert await passwords.verify(encoded, password)
    assert not await passwords.verify(encoded, "X" + password)
    assert passwords.outdated(encoded)
    assert not passwords.outdated(await passwords.hash(password))


@pytest.mark.parametrize(
    ("encoded", "said"),
    [
        ("", "no hash of a kind"),
        ("5f4dcc3b5aa765d61d8327deb882cf99", "no hash of a kind"),
        ("$argon2d$v=19$m=64,t=1,p=1$c29tZXNhbHQ$" + "A" * 43, "no hash of a kind"),
        ("$argon2id$v=19$m=\u0667\u0662,t=2,p=1$c29tZXNhbHQ$" + "A" * 43, "no hash of a kind"),
        ("$2b$\u0660\u0665$" + "." * 53, "no hash of a kind"),
        ("$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHQ$" + "A" * 43, "out of range"),
        ("$argon2id$v=19$m=19456,t=2,p=99$c29tZXNhbHQ$" + "A" * 43, "out of range"),
        ("$argon2id$v=19$m=16,t=2,p=4$c29tZXNhbHQ$" + "A" * 43, "out of range"),
        ("$argon2id$v=19$m=19456,t=9999,p=1$c29tZXNhbHQ$" + "A" * 43, "costs too much"),
        ("$argon2id$v=19$m=262144,t=5,p=1$c29tZXNhbHQ$" + "A" * 43, "costs too much"),
        ("$2b$31$" + "." * 53, "cost out of range"),
        ("$2b$03$" + "." * 53, "cost out of range"),
    ],
)
def test_a_hash_that_costs_too_much_is_refused_and_matches_nothing(
    monkeypatch: pytest.MonkeyPatch, encoded: str, said: str
) -> None:
    """Parameters are capped, so that a row cannot be made to exhaust memory or time."""
    for verifier in ("argon2id.verify", "verify_secret", "bcrypt.checkpw"):
        monkeypatch.setattr(f"app.security.hashes.{verifier}", lambda *_: pytest.fail("it was verified"))
    with pytest.raises(ValueError, match=said):
        hashes.admit(encoded)
    assert not hashes.verify(encoded, b"x")


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


@pytest.mark.parametrize(("memory", "iterations"), OWASP_ARGON2ID)
def test_the_strength_is_never_below_owasps(memory: int, iterations: int) -> None:
    """Each of its equals will do, and nothing less."""
    names = ("GATEWATCH_HASH_MEMORY_KIB", "GATEWATCH_HASH_ITERATIONS")
    chosen = Settings.from_environment(dict(zip(names, (str(memory), str(iterations)), strict=True)))
    assert (chosen.hash_memory_kib, chosen.hash_iterations) == (memory, iterations)
    with pytest.raises(SettingsError, match=r"are weaker than each of|whole number from"):
        Settings.from_environment(dict(zip(names, (str(memory - 1), str(iterations)), strict=True)))
    with pytest.raises(SettingsError, match="must be at most 1048576"):
        Settings.from_environment(dict(zip(names, ("262144", "16"), strict=True)))
