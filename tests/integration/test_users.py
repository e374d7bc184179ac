"""Users as administrators list and change them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from running import EMAIL, PASSWORD, Service

from app.errors import CacheUnavailable, EmailTaken, InvalidationPending, InvalidFields, NotFound
from app.repositories.sessions import OPEN
from app.repositories.users import Users
from app.security.tokens import issue
from app.server import utc_now
from app.services.administration import Administration
from app.services.rules import PasswordRule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ADMIN = "admin@example.org"


@pytest.fixture
def administration(service: Service) -> Administration:
    """Return what the command line works with, on the stores of the service."""
    parts = service.parts
    users = Users(parts.database, parts.invalidations)
    return Administration(users, parts.passwords, parts.completion, utc_now, rule=PasswordRule(8))


@pytest.fixture
async def admin(service: Service, administration: Administration) -> dict[str, str]:
    """Create an administrator and log in."""
    assert await administration.create(" Admin@Example.org ", PASSWORD, admin=True) == ADMIN
    return await service.login(ADMIN)


async def page(service: Service, bearer: dict[str, str], query: str = "") -> Any:
    """Get a page of users."""
    answer = await service.client.get(f"/users{query}", headers=bearer)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_only_administrators_see_the_users(service: Service, admin: dict[str, str]) -> None:
    """Without a session it is 401, without the role 403; the list shows no hash."""
    ann = await service.person()
    assert (await service.client.get("/users")).status_code == 401
    answer = await service.client.get("/users", headers=ann)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    found = await page(service, admin)
    assert [(item["email"], item["role"]) for item in found["items"]] == [(ADMIN, "admin"), (EMAIL, "user")]
    assert set(found["items"][0]) == {"id", "email", "email_verified", "role", "name", "created_at", "disabled_at"}
    assert [item["email_verified"] for item in found["items"]] == [True, False]


async def test_a_role_counts_from_the_moment_it_is_given_or_taken(
    service: Service, administration: Administration
) -> None:
    """A cached user gives nobody a role that was just taken, and keeps none back."""
    ann = await service.person()
    for admin, status in ((True, 200), (False, 403)):
        await service.client.get("/auth/me", headers=ann)
        await administration.set_admin(EMAIL, admin=admin)
        assert (await service.client.get("/users", headers=ann)).status_code == status


async def test_pages_show_every_user_once_while_others_register(service: Service, admin: dict[str, str]) -> None:
    """A cursor stays where it is whatever is inserted, and the last page says that it is the last."""
    for number in range(6):
        await service.register(f"u{number}@example.org")
    seen: list[str] = []
    query = "?limit=3"
    for turn in range(10):
        found = await page(service, admin, query)
        seen += [item["email"] for item in found["items"]]
        if turn == 0:
            await service.register("late@example.org")
        if found["next_cursor"] is None:
            break
        query = f"?limit=3&cursor={found['next_cursor']}"
    assert seen == [ADMIN, *(f"u{number}@example.org" for number in range(6)), "late@example.org"]


async def test_a_disabled_account_loses_its_sessions_at_once(service: Service, administration: Administration) -> None:
    """Cached or not, its sessions are over; it cannot log in before it is enabled, and nobody else notices."""
    ann = [await service.person(), await service.login(), await service.login()]
    bob = await service.person("bob@example.org")
    for bearer in (*ann[:2], bob):
        assert (await service.client.get("/auth/me", headers=bearer)).status_code == 200
    assert await administration.disable(EMAIL) == 3
    for bearer in ann:
        assert (await service.client.get("/auth/check", headers=bearer)).status_code == 401
    login = {"email": EMAIL, "password": PASSWORD}
    assert (await service.client.post("/auth/login", json=login)).json()["code"] == "credentials-rejected"
    assert (await service.client.get("/auth/me", headers=bob)).status_code == 200
    assert await administration.disable(EMAIL) == 0
    await administration.enable(EMAIL)
    assert (await service.client.post("/auth/login", json=login)).status_code == 200


async def test_a_login_under_way_does_not_outlive_the_account(service: Service, administration: Administration) -> None:
    """A session that is being opened while its account is disabled is refused or ended with the others."""
    user = await service.register()
    store = service.parts.sessions.store
    for _ in range(40):
        await administration.enable(EMAIL)
        now = utc_now()
        opening = [
            store.open(UUID(user["id"]), issue(UUID(user["id"]))[1].digest, now, now.replace(year=now.year + 1))
            for _ in range(8)
        ]
        await asyncio.gather(*opening[:4], administration.disable(EMAIL), *opening[4:])
        assert (await service.rows())["sessions"] == 0


async def test_a_session_that_the_first_statement_cannot_see_is_ended_too(
    service: Service, administration: Administration
) -> None:
    """A login holds its insert open while the account is disabled; when all is done there is no session."""
    user = await service.register()
    now = utc_now()
    async with service.sql.transaction():
        opened = await service.sql.fetch(OPEN.sql, uuid4(), UUID(user["id"]), b"x", now, now, None, None, None)
        assert len(opened) == 1
        disabling = asyncio.create_task(administration.disable(EMAIL))
        await asyncio.sleep(0.2)
        assert not disabling.done()
    assert await disabling == 1
    assert (await service.rows())["sessions"] == 0


async def test_a_cache_that_cannot_be_told_keeps_no_latecomer(
    service: Service, administration: Administration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session that only the second statement sees is ended though the deletes of the first have to wait."""
    user = await service.register()
    now = utc_now()

    async def away(_: object) -> None:
        raise CacheUnavailable("away")

    monkeypatch.setattr(service.parts.cache, "delete", away)
    async with service.sql.transaction():
        await service.sql.fetch(OPEN.sql, uuid4(), UUID(user["id"]), b"x", now, now, None, None, None)
        disabling = asyncio.create_task(administration.disable(EMAIL))
        await asyncio.sleep(0.2)
        assert not disabling.done()
    with pytest.raises(InvalidationPending):
        await disabling
    assert (await service.rows())["sessions"] == 0


async def test_an_address_that_nobody_has_is_said_to_be_nobodys(administration: Administration) -> None:
    """Every change names the address that it did not find, and what is no address is no user."""
    changes: list[Callable[[str], Awaitable[Any]]] = [
        administration.disable,
        administration.enable,
        lambda email: administration.set_admin(email, admin=True),
    ]
    for change in changes:
        with pytest.raises(NotFound, match=r"nobody@example\.org"):
            await change(" Nobody@Example.org")
        with pytest.raises(InvalidFields):
            await change("nobody")


async def test_an_account_is_created_once_and_well(service: Service, administration: Administration) -> None:
    """The rules of registration hold, and an address that is taken is said to be."""
    await service.register()
    with pytest.raises(EmailTaken):
        await administration.create(EMAIL, PASSWORD, admin=True)
    with pytest.raises(InvalidFields, match="password"):
        await administration.create("new@example.org", "short", admin=False)
    assert (await service.rows())["users"] == 1
