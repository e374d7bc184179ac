"""Verified addresses, forgotten and changed passwords, as a client and a mailbox see them."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from mailing import Folder, token_of, until_found
from redis.asyncio import Redis
from running import EMAIL, PASSWORD, Serve, Service

from app.repositories.ids import new_id

if TYPE_CHECKING:
    from pathlib import Path

    from app.embedded import Server
    from app.storage.database import Statement

NEW = "another battery staple"


@pytest.fixture
def folder(data_dir: Path) -> Folder:
    """Return the folder that mails land in."""
    return Folder(data_dir / "mail")


async def post(service: Service, path: str, headers: dict[str, str] | None = None, **body: str) -> tuple[int, str]:
    """Post a body; return the status and the code of the problem, if it is one."""
    answer = await service.client.post(path, json=body, headers=headers)
    return answer.status_code, answer.json().get("code", "") if answer.content else ""


async def forgotten(service: Service, folder: Folder, number: int = 1) -> str:
    """Ask for a new password; return the token that comes."""
    assert await post(service, "/auth/password/forgot", email=EMAIL) == (202, "")
    return token_of(await folder.nth(EMAIL, "new password", number))


async def emptied(service: Service) -> None:
    """Wait until the sender has nothing left to look at."""
    await until_found(lambda: service.sql.fetchval("SELECT count(*) = 0 FROM outbox"))


async def test_an_address_is_verified_by_the_token_that_was_sent_to_it(service: Service, folder: Folder) -> None:
    """Whoever registered gets a link; redeeming it shows at once, also where the user was cached, and works once."""
    bearer = await service.person()
    assert (await service.client.get("/auth/me", headers=bearer)).json()["email_verified"] is False
    message = await folder.nth(EMAIL, "Confirm")
    assert "http://127.0.0.1:8000/verify-email#token=" in message.get_content()
    token = token_of(message)
    assert await post(service, "/auth/verify-email", token=token) == (204, "")
    assert (await service.client.get("/auth/me", headers=bearer)).json()["email_verified"] is True
    assert await post(service, "/auth/verify-email", token=token) == (400, "token-rejected")


async def test_of_fifty_redemptions_at_once_one_succeeds(serve: Serve, folder: Folder) -> None:
    """However many redeem a token at the same moment, it has its effect once."""
    async with serve(hash_queue=100) as service:
        await service.register()
        verify = token_of(await folder.nth(EMAIL, "Confirm"))
        answers = await asyncio.gather(*(post(service, "/auth/verify-email", token=verify) for _ in range(50)))
        assert sorted(answers) == [(204, ""), *[(400, "token-rejected")] * 49]
        reset = await forgotten(service, folder)
        words = [f"{NEW} {number}" for number in range(50)]
        answers = await asyncio.gather(
            *(post(service, "/auth/password/reset", token=reset, new_password=word) for word in words)
        )
        assert sorted(answers) == [(204, ""), *[(400, "token-rejected")] * 49]
        winner = words[answers.index((204, ""))]
        assert await post(service, "/auth/login", email=EMAIL, password=winner) == (200, "")
        assert await service.sql.fetchval("SELECT count(*) FROM pending_invalidations") <= 2


async def test_the_newest_token_takes_the_place_of_older_ones(service: Service, folder: Folder) -> None:
    """Who asks again gets another token, and the first works no more."""
    await service.register()
    first, second = await forgotten(service, folder), await forgotten(service, folder, 2)
    assert await post(service, "/auth/password/reset", token=first, new_password=NEW) == (400, "token-rejected")
    assert await post(service, "/auth/password/reset", token=second, new_password=NEW) == (204, "")


async def test_of_two_tokens_issued_at_the_same_moment_only_the_newest_works(service: Service, folder: Folder) -> None:
    """Two issues that did not see each other leave two rows, and still the older one is worth nothing."""
    await service.register()
    older = await forgotten(service, folder)
    await service.sql.execute(
        """
        INSERT INTO email_tokens (id, user_id, purpose, token_hash, expires_at)
        SELECT $1, user_id, purpose, 'x', expires_at FROM email_tokens WHERE purpose = 'reset'
        """,
        new_id(),
    )
    assert await post(service, "/auth/password/reset", token=older, new_password=NEW) == (400, "token-rejected")


async def test_a_token_runs_out_and_serves_one_purpose(service: Service, folder: Folder) -> None:
    """A reset token verifies nothing, a verification token resets nothing, and none works past its time."""
    await service.register()
    verify, reset = token_of(await folder.nth(EMAIL, "Confirm")), await forgotten(service, folder)
    assert await post(service, "/auth/verify-email", token=reset) == (400, "token-rejected")
    assert await post(service, "/auth/password/reset", token=verify, new_password=NEW) == (400, "token-rejected")
    await service.sql.execute("UPDATE email_tokens SET expires_at = now()")
    assert await post(service, "/auth/verify-email", token=verify) == (400, "token-rejected")
    assert await post(service, "/auth/password/reset", token=reset, new_password=NEW) == (400, "token-rejected")


async def test_a_changed_password_ends_the_other_sessions(service: Service, folder: Folder) -> None:
    """After the answer no other session is valid, cached or not; this one is, and the owner is told."""
    bearer = await service.person()
    others = [await service.login() for _ in range(3)]
    for headers in (bearer, *others):
        assert (await service.client.get("/auth/check", headers=headers)).status_code == 204
    change = {"current_password": PASSWORD, "new_password": NEW}
    assert await post(service, "/auth/password", bearer, **change) == (204, "")
    assert [(await service.client.get("/auth/check", headers=other)).status_code for other in others] == [401] * 3
    assert (await service.client.get("/auth/check", headers=bearer)).status_code == 204
    assert await post(service, "/auth/login", email=EMAIL, password=PASSWORD) == (401, "credentials-rejected")
    assert await post(service, "/auth/login", email=EMAIL, password=NEW) == (200, "")
    await folder.nth(EMAIL, "was changed")


async def test_a_wrong_current_password_changes_nothing(service: Service) -> None:
    """The field is named, the session goes on, and so does the old password; a short new one is refused alike."""
    bearer = await service.person()
    for body, field in (
        ({"current_password": "x" * 10, "new_password": NEW}, "current_password"),
        ({"current_password": PASSWORD, "new_password": "short"}, "new_password"),
    ):
        answer = await service.client.post("/auth/password", headers=bearer, json=body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    await service.login()
    assert (await service.client.get("/auth/check", headers=bearer)).status_code == 204
    assert await post(service, "/auth/password", current_password=PASSWORD, new_password=NEW) == (
        401,
        "not-authenticated",
    )


async def test_of_two_changes_at_once_one_is_made(service: Service) -> None:
    """Both verified the old password; the one that comes second finds it replaced."""
    bearer = await service.person()
    words = [f"{NEW} {number}" for number in range(4)]
    answers = await asyncio.gather(
        *(post(service, "/auth/password", bearer, current_password=PASSWORD, new_password=word) for word in words)
    )
    assert sorted(answers) == [(204, ""), *[(422, "invalid-fields")] * 3]
    winner = words[answers.index((204, ""))]
    assert await post(service, "/auth/login", email=EMAIL, password=winner) == (200, "")


async def test_a_reset_password_ends_all_sessions_and_verifies_the_address(service: Service, folder: Folder) -> None:
    """Whoever reads the mailbox takes the account back: every session is over, and the owner is told."""
    bearer = await service.person()
    assert (await service.client.get("/auth/me", headers=bearer)).status_code == 200
    token = await forgotten(service, folder)
    assert await post(service, "/auth/password/reset", token=token, new_password=NEW) == (204, "")
    assert (await service.client.get("/auth/me", headers=bearer)).status_code == 401
    assert await post(service, "/auth/login", email=EMAIL, password=PASSWORD) == (401, "credentials-rejected")
    answer = await service.client.post("/auth/login", json={"email": EMAIL, "password": NEW})
    assert answer.json()["user"]["email_verified"] is True
    await folder.nth(EMAIL, "was changed")


async def test_a_changed_password_spends_the_reset_tokens_that_are_out(service: Service, folder: Folder) -> None:
    """Who changes their password because somebody reads their mail is safe from the link in it."""
    bearer = await service.person()
    token = await forgotten(service, folder)
    change = {"current_password": PASSWORD, "new_password": NEW}
    assert await post(service, "/auth/password", bearer, **change) == (204, "")
    assert await post(service, "/auth/password/reset", token=token, new_password=PASSWORD) == (400, "token-rejected")


async def test_a_session_that_was_being_opened_with_the_old_password_is_ended_too(service: Service) -> None:
    """A login that commits while the change waits for the account's row is not overlooked."""
    bearer = await service.person()
    user = await service.sql.fetchval("SELECT id FROM users")
    async with service.sql.transaction():
        await service.sql.execute(
            """
            INSERT INTO sessions (id, user_id, token_hash, created_at, last_seen_at, expires_at)
            SELECT $1, id, 'late', now(), now(), now() + interval '1 day' FROM users WHERE id = $2 FOR SHARE
            """,
            new_id(),
            user,
        )
        change = {"current_password": PASSWORD, "new_password": NEW}
        changing = asyncio.create_task(post(service, "/auth/password", bearer, **change))
        await asyncio.sleep(0.5)
        assert not changing.done()
    assert await changing == (204, "")
    assert await service.sql.fetchval("SELECT count(*) FROM sessions WHERE token_hash = 'late'") == 0


async def test_a_login_with_the_old_password_opens_nothing_after_the_change(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password that was right when it was verified is refused when it has been replaced in the meantime."""
    bearer = await service.person()
    database = service.parts.database
    fetch = database.fetch

    async def held(statement: Statement, *values: Any) -> list[dict[str, Any]]:
        if statement.name == "session_open":
            change = {"current_password": PASSWORD, "new_password": NEW}
            assert await post(service, "/auth/password", bearer, **change) == (204, "")
        return await fetch(statement, *values)

    with monkeypatch.context() as patch:
        patch.setattr(database, "fetch", held)
        assert await post(service, "/auth/login", email=EMAIL, password=PASSWORD) == (401, "credentials-rejected")


async def test_without_redis_a_reset_stands_and_ends_the_sessions(
    service: Service, folder: Folder, redis: Server
) -> None:
    """The answer says that caches follow; no old session is accepted from then on."""
    bearer = await service.person()
    assert (await service.client.get("/auth/check", headers=bearer)).status_code == 204
    token = await forgotten(service, folder)
    os.kill(redis.pid, signal.SIGKILL)
    reset = await post(service, "/auth/password/reset", token=token, new_password=NEW)
    assert reset == (503, "invalidation-pending")
    assert (await service.client.get("/auth/check", headers=bearer)).status_code == 401
    assert await post(service, "/auth/login", email=EMAIL, password=NEW) == (200, "")


@pytest.mark.parametrize("path", ["/auth/password/forgot", "/auth/verify-email/resend"])
async def test_nobody_learns_whether_an_address_has_an_account(
    service: Service, folder: Folder, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Known, verified or unknown: the same status, headers, body and work; the mail goes to the known one alone."""
    await service.register()
    await folder.nth(EMAIL, "Confirm")
    database, asked = service.parts.database, list[list[str]]()
    fetch = database.fetch

    async def noted(statement: Statement, *values: Any) -> list[dict[str, Any]]:
        if not statement.name.startswith("invalidations_"):
            asked[-1].append(statement.name)
        return await fetch(statement, *values)

    answers = []
    with monkeypatch.context() as patch:
        patch.setattr(database, "fetch", noted)
        for address in (EMAIL, "nobody@example.org"):
            asked.append([])
            answer = await service.client.post(path, json={"email": address})
            headers = [(name, value) for name, value in answer.headers.items() if "ratelimit" not in name]
            answers.append((answer.status_code, headers, answer.content))
    assert answers[0] == answers[1]
    assert answers[0][0] == 202
    assert asked == [["mail_ask"], ["mail_ask"]]
    await folder.nth(EMAIL, "new password" if "forgot" in path else "Confirm", 1 if "forgot" in path else 2)
    await emptied(service)
    assert not folder.all("nobody@example.org", "")


async def test_login_can_wait_for_a_verified_address(serve: Serve, folder: Folder) -> None:
    """Where it is required, the right password is not enough before verification, and is at once after it."""
    async with serve(require_verified_email=True) as service:
        await service.register()
        for _ in range(2):
            assert await post(service, "/auth/login", email=EMAIL, password=PASSWORD) == (403, "email-not-verified")
        assert await post(service, "/auth/login", email=EMAIL, password=NEW) == (401, "credentials-rejected")
        token = token_of(await folder.nth(EMAIL, "Confirm"))
        assert await post(service, "/auth/verify-email", token=token) == (204, "")
        assert await post(service, "/auth/login", email=EMAIL, password=PASSWORD) == (200, "")


async def test_whether_an_address_is_verified_is_cached_for_an_hour(serve: Serve, redis: Server) -> None:
    """The key is the design's, its life an hour, and verification deletes it."""
    async with serve(require_verified_email=True) as service, Redis.from_url(redis.url) as client:
        await service.register()
        await post(service, "/auth/login", email=EMAIL, password=PASSWORD)
        assert 3590 < await client.ttl(f"email:verified:{EMAIL}") <= 3600


async def test_registration_can_conceal_that_an_address_is_taken(serve: Serve, folder: Folder) -> None:
    """The answers for a new and a taken address are alike, the owner gets a mail, and login tells no more."""
    async with serve(conceal_accounts=True) as service:
        body = {"email": EMAIL, "password": PASSWORD, "name": "Ann"}
        new = await service.client.post("/auth/register", json=body)
        taken = await service.client.post("/auth/register", json={**body, "password": NEW})
        assert (new.status_code, taken.status_code) == (201, 201)
        assert [n for n in new.headers if n != "content-length"] == [n for n in taken.headers if n != "content-length"]
        assert new.json()["id"] != taken.json()["id"]
        same = ("email", "email_verified", "role")
        assert [new.json()[name] for name in same] == [taken.json()[name] for name in same]
        assert new.json().keys() == taken.json().keys()
        assert new.json()["profile"].keys() == taken.json()["profile"].keys()
        await folder.nth(EMAIL, "already")
        for password in (PASSWORD, NEW):
            assert await post(service, "/auth/login", email=EMAIL, password=password) == (401, "credentials-rejected")
        token = token_of(await folder.nth(EMAIL, "Confirm"))
        assert await post(service, "/auth/verify-email", token=token) == (204, "")
        assert await post(service, "/auth/login", email=EMAIL, password=PASSWORD) == (200, "")
        assert (await service.rows())["users"] == 1


async def test_the_load_generators_addresses_get_no_mail_ever(serve: Serve) -> None:
    """Nothing that is done to such an account leaves a row to be sent, registration of a taken address included."""
    address = "virtual.1@load.invalid"
    async with serve(conceal_accounts=True) as service:
        await service.parts.mail.sender.stop(5)
        await service.register(address)
        await service.register(address)
        assert await post(service, "/auth/password/forgot", email=address) == (202, "")
        assert await post(service, "/auth/verify-email/resend", email=address) == (202, "")
        await service.sql.execute("UPDATE users SET email_verified_at = now()")
        bearer = await service.login(address)
        change = {"current_password": PASSWORD, "new_password": NEW}
        assert await post(service, "/auth/password", bearer, **change) == (204, "")
        assert await service.sql.fetchval("SELECT count(*) FROM outbox") == 0


async def test_a_disabled_account_gets_no_token(service: Service, folder: Folder) -> None:
    """Nobody comes back by mail: no token is issued, and one that is out already is not redeemed."""
    await service.register()
    token = await forgotten(service, folder)
    await service.sql.execute("UPDATE users SET disabled_at = now()")
    assert await post(service, "/auth/password/reset", token=token, new_password=NEW) == (400, "token-rejected")
    await service.sql.execute("DELETE FROM email_tokens")
    assert await post(service, "/auth/password/forgot", email=EMAIL) == (202, "")
    await emptied(service)
    assert await service.sql.fetchval("SELECT count(*) FROM email_tokens") == 0


async def test_a_token_is_nowhere_but_in_its_mail(
    service: Service, folder: Folder, redis: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither table, nor Redis, nor log holds a token that was sent, redeemed and refused."""
    caplog.set_level("DEBUG")
    await service.register()
    tokens = [token_of(await folder.nth(EMAIL, "Confirm")), await forgotten(service, folder)]
    for _ in range(2):
        await post(service, "/auth/verify-email", token=tokens[0])
        await post(service, "/auth/password/reset", token=tokens[1], new_password=NEW)
    tables = await service.sql.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    kept = [
        str(dict(row))
        for table in tables
        for row in await service.sql.fetch(f"SELECT * FROM {table['tablename']}")  # noqa: S608 - the catalog's own names
    ]
    async with Redis.from_url(redis.url) as client:
        for key in await client.keys("*"):
            kept += [str(key), str(await client.dump(key))]
    kept += [record.getMessage() for record in caplog.records]
    assert len(kept) > 10
    assert not [text for text in kept for token in tokens if token in text]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/auth/verify-email", {}, "token"),
        ("/auth/verify-email/resend", {"email": "nobody"}, "email"),
        ("/auth/password/forgot", {"email": 1}, "email"),
        ("/auth/password/reset", {"token": "x", "new_password": "short"}, "new_password"),
        ("/auth/password/reset", {"token": "x", "new_password": NEW, "email": EMAIL}, "email"),
    ],
)
async def test_a_bad_body_names_its_field(service: Service, path: str, body: dict[str, Any], field: str) -> None:
    """Each is a 422 that says which field is wrong."""
    answer = await service.client.post(path, json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
