"""Passwords in a running service: upgrades, imports, races, and what time tells of accounts."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest
from argon2 import PasswordHasher
from running import EMAIL, PASSWORD, Serve, Service

from app.errands import administration
from app.errors import InvalidFields
from app.security.hashes import Parameters, make
from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from app.embedded import Server

CHEAP: dict[str, Any] = {"hash_memory_kib": 64, "hash_iterations": 1, "hash_queue": 1000, "rate_limits": False}
OURS = "$argon2id$v=19$m=64,t=1,p=1$"
LOGIN = {"email": EMAIL, "password": PASSWORD}


@pytest.fixture
async def cheap(serve: Serve) -> AsyncIterator[Service]:
    """Run a worker whose hashes cost next to nothing."""
    async with serve(**CHEAP) as service:
        yield service


async def _hash_of(service: Service, email: str = EMAIL) -> str:
    return str(await service.sql.fetchval("SELECT password_hash FROM users WHERE email = $1", email))


async def _keep(service: Service, password_hash: str) -> None:
    await service.sql.execute("UPDATE users SET password_hash = $2 WHERE email = $1", EMAIL, password_hash)


async def _upgraded(service: Service) -> None:
    """Log in until the hash is one of ours: a busy thread puts it off to the next login."""
    for _ in range(100):
        await service.login()
        await service.parts.completion.drain(timeout=60)
        if (await _hash_of(service)).startswith(OURS):
            return
    raise AssertionError("the hash was never upgraded")


@pytest.mark.parametrize(
    "old",
    [
        make(PASSWORD.encode(), Parameters(128, 2)),
        PasswordHasher(1, 64, 4).hash(PASSWORD),
        bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode(),
    ],
    ids=["ours with other parameters", "argon2id in four lanes", "bcrypt"],
)
async def test_an_old_hash_is_replaced_at_login_and_nobody_notices(cheap: Service, old: str) -> None:
    """A wrong password leaves it alone; the sessions opened before, with and after the upgrade are good."""
    before = await cheap.person()
    await _keep(cheap, old)
    assert (await cheap.client.post("/auth/login", json=LOGIN | {"password": PASSWORD + "r"})).status_code == 401
    await cheap.parts.completion.drain(timeout=60)
    assert await _hash_of(cheap) == old
    during = await cheap.login()
    await _upgraded(cheap)
    for bearer in (before, during, await cheap.login()):
        assert (await cheap.client.get("/auth/check", headers=bearer)).status_code == 204
    new = await _hash_of(cheap)
    await cheap.login()
    await cheap.parts.completion.drain(timeout=60)
    assert await _hash_of(cheap) == new


async def test_logins_at_once_while_the_hash_is_replaced_all_succeed(cheap: Service) -> None:
    """Who verified the old hash and finds another one looks again, and lets the owner in."""
    await cheap.register()
    for _ in range(5):
        await _keep(cheap, make(PASSWORD.encode(), Parameters(128, 2)))
        answers = await asyncio.gather(*(cheap.client.post("/auth/login", json=LOGIN) for _ in range(20)))
        assert Counter(answer.status_code for answer in answers) == {200: 20}


async def test_a_replaced_password_is_not_brought_back_by_an_upgrade(cheap: Service) -> None:
    """An upgrade that was under way while the password changed changes nothing."""
    user = await cheap.register()
    old = await _hash_of(cheap)
    await _keep(cheap, "$2b$04$" + "." * 53)
    await cheap.parts.services.accounts._accounts.upgrade(user["id"], old, "anything")
    assert (await _hash_of(cheap)).startswith("$2b$")


async def test_an_upgrade_that_fails_fails_no_login(cheap: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again at the next one."""
    await cheap.register()
    old = make(PASSWORD.encode(), Parameters(128, 2))
    await _keep(cheap, old)
    with monkeypatch.context() as patch:
        patch.setattr("app.security.passwords.hashes.make", lambda *_: pytest.fail("no memory"))
        await cheap.login()
        await cheap.parts.completion.drain(timeout=60)
    assert await _hash_of(cheap) == old
    await _upgraded(cheap)


@pytest.mark.parametrize("conceal", [False, True])
async def test_a_hundred_registrations_of_one_address_at_once_are_one(serve: Serve, *, conceal: bool) -> None:
    """One row, and no error of ours; concealed, all are answered alike."""
    async with serve(**CHEAP, conceal_accounts=conceal) as service:
        body = {"email": EMAIL, "password": PASSWORD}
        answers = await asyncio.gather(*(service.client.post("/auth/register", json=body) for _ in range(100)))
        codes = Counter(answer.status_code for answer in answers)
        assert codes == ({201: 100} if conceal else {201: 1, 409: 99})
        rows = await service.rows()
        assert (rows["users"], rows["profiles"]) == (1, 1)


async def test_common_passwords_and_the_address_are_refused_everywhere(cheap: Service) -> None:
    """At registration, change and reset; the field is named."""
    for password in ("password123", EMAIL, "GATEWATCH"):
        answer = await cheap.client.post("/auth/register", json={"email": EMAIL, "password": password})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "password")
    bearer = await cheap.person()
    for password in ("password123", EMAIL):
        body = {"current_password": PASSWORD, "new_password": password}
        answer = await cheap.client.post("/auth/password", json=body, headers=bearer)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "new_password")
    answer = await cheap.client.post("/auth/password/reset", json={"token": "x", "new_password": "password123"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "new_password")


async def test_the_command_line_refuses_common_passwords_too(database_url: str, redis: Server) -> None:
    """An administrator's is worth most to who guesses."""
    async with administration(Settings(database_url=database_url, redis_url=redis.url)) as opened:
        for password in ("password123", EMAIL):
            with pytest.raises(InvalidFields, match=r"password: (is one of|must not be)"):
                await opened.create(EMAIL, password, admin=True)


async def test_time_does_not_tell_whether_an_address_has_an_account(serve: Serve) -> None:
    """Of a thousand wrong logins, and of as many requests for a mail, those for an account take as long as the others.

    Each pair is measured in a row, in changing order, so that a busy machine delays both alike; what is judged is how
    often the one for the account is the slower: half of the time, when nothing is different.
    """
    async with serve(**CHEAP | {"hash_memory_kib": 4096}) as service:
        await service.register()
        for path, pairs in (("/auth/login", 500), ("/auth/password/forgot", 100)):
            slower, known, unknown = 0, [], []
            for number in range(pairs):
                times = {}
                for email in (EMAIL, "bob@example.org")[:: 1 if number % 2 else -1]:
                    body = {"email": email} | ({"password": "not the password"} if path == "/auth/login" else {})
                    began = time.perf_counter()
                    answer = await service.client.post(path, json=body)
                    times[email] = time.perf_counter() - began
                    assert answer.status_code in {401, 202}
                slower += times[EMAIL] > times["bob@example.org"]
                known.append(times[EMAIL])
                unknown.append(times["bob@example.org"])
            share = slower / pairs
            assert 0.25 < share < 0.75, (path, share, statistics.median(known), statistics.median(unknown))


async def test_users_of_another_system_are_imported_once_and_can_log_in(
    cheap: Service, database_url: str, redis: Server, data_dir: Path, tmp_path: Path
) -> None:
    """Nothing is changed by a file with a line that cannot be used; whom there is stays as it is; a second time imports nobody."""

    async def take_over(*options: str) -> tuple[int | None, str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("GATEWATCH_")}
        ours = {"DATABASE_URL": database_url, "REDIS_URL": redis.url, "GATEWATCH_DATA_DIR": str(data_dir)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", "user", "import", *options, str(file)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=kept | ours,
        )
        out, err = await asyncio.wait_for(process.communicate(), 120)
        return process.returncode, out.decode().strip(), err.decode()

    await cheap.register()
    kept = await _hash_of(cheap)
    crypt = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    people = [{"email": f"user{n}@example.org", "password_hash": crypt, "email_verified": n == 0} for n in range(2500)]
    lines = [json.dumps(person) for person in [*people, {"email": EMAIL, "password_hash": crypt}]]
    file = tmp_path / "users.jsonl"
    file.write_text("\n".join([*lines, "{}"]) + "\n")
    code, _, said = await take_over()
    assert code == 1
    assert "line 2502: Object missing required field `email`" in said
    assert (await cheap.rows())["users"] == 1
    assert (await take_over("--skip-invalid", "--dry-run"))[1] == "2,501 users can be imported"
    code, told, said = await take_over("--skip-invalid")
    assert (code, told) == (0, "2,500 users imported, 1 was there already, 1 line left out")
    assert f"line 2501: {EMAIL} has an account already and stays as it is" in said
    rows = await cheap.rows()
    assert (rows["users"], rows["profiles"]) == (2501, 2501)
    assert await _hash_of(cheap) == kept
    assert (await take_over("--skip-invalid"))[1].startswith("0 users imported, 2,501 were there already")
    await cheap.login("user2499@example.org")
    first = await cheap.client.get("/auth/me", headers=await cheap.login("user0@example.org"))
    assert first.json()["email_verified"] is True
