"""Whatever ends a session ends it on the express way: at once, and on a connection that was just answered there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from mailing import Folder, token_of
from running import EMAIL, PASSWORD, Service, running

from app.repositories.users import Users
from app.server import utc_now
from app.services.administration import Administration
from app.services.presence import GRAIN
from app.services.rules import PasswordRule
from app.settings import Settings

if TYPE_CHECKING:
    from app.embedded import Server

Bearer = dict[str, str]
End = Callable[[Service, Path, Bearer, Bearer], Awaitable[Any]]
"""Ends the session of the first bearer; the second is another one of the same person."""

PATHS = ("/auth/check", "/auth/me")
SECOND = timedelta(seconds=1)


async def _revoked(service: Service, _: Path, bearer: Bearer, other: Bearer) -> httpx.Response:
    session = (await service.client.get("/auth/check", headers=bearer)).headers["x-session-id"]
    return await service.client.delete(f"/auth/sessions/{session}", headers=other)


async def _password_replaced(service: Service, data_dir: Path, _: Bearer, __: Bearer) -> httpx.Response:
    await service.client.post("/auth/password/forgot", json={"email": EMAIL})
    token = token_of(await Folder(data_dir / "mail").nth(EMAIL, "password"))
    return await service.client.post("/auth/password/reset", json={"token": token, "new_password": PASSWORD + "!"})


async def _disabled(service: Service, *_: Any) -> None:
    parts = service.parts
    users = Users(parts.database, parts.invalidations)
    assert await Administration(users, parts.passwords, parts.completion, utc_now, rule=PasswordRule(8)).disable(EMAIL)


ENDS: dict[str, End] = {
    "logged out": lambda service, _, bearer, __: service.client.post("/auth/logout", headers=bearer),
    "revoked": _revoked,
    "one of all others": lambda service, _, __, other: service.client.delete("/auth/sessions", headers=other),
    "password changed": lambda service, _, __, other: service.client.post(
        "/auth/password", headers=other, json={"current_password": PASSWORD, "new_password": PASSWORD + "!"}
    ),
    "password replaced": _password_replaced,
    "account disabled": _disabled,
}


class Visitor:
    """Somebody on one connection, and how many of their requests the express way did not answer."""

    def __init__(self, service: Service, bearer: Bearer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = httpx.AsyncClient(base_url=service.client.base_url, timeout=20, headers=bearer)
        self.ordinary = 0
        for name in ("check", "me"):
            monkeypatch.setattr(service.parts.services.sessions, name, self._counted(service, name))

    def _counted(self, service: Service, name: str) -> Any:
        method = getattr(service.parts.services.sessions, name)

        async def call(*values: Any) -> Any:
            self.ordinary += 1
            return await method(*values)

        return call

    async def is_let_in_at_once(self) -> bool:
        """Ask so that both are cached, then once more for each."""
        await self.client.get("/auth/me")
        before = self.ordinary
        answers = [(await self.client.get(path)).status_code for path in PATHS]
        return answers == [204, 200] and self.ordinary == before

    async def is_refused(self) -> bool:
        """Ask for each."""
        return [(await self.client.get(path)).status_code for path in PATHS] == [401, 401]


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
async def test_what_was_ended_is_refused(
    service: Service, data_dir: Path, monkeypatch: pytest.MonkeyPatch, end: End
) -> None:
    """The first request after the answer to what ended it."""
    bearer, other = await service.person(), await service.login()
    visitor = Visitor(service, bearer, monkeypatch)
    async with visitor.client:
        assert await visitor.is_let_in_at_once()
        answer = await end(service, data_dir, bearer, other)
        assert answer is None or answer.status_code == 204
        assert await visitor.is_refused()


async def test_what_is_over_is_refused(
    database_url: str, redis: Server, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle end that use on the express way alone moves on, an absolute one that it does not move; both are cached."""
    idle, lifetime, now = timedelta(minutes=10), timedelta(minutes=40), utc_now()
    settings = Settings(
        database_url=database_url,
        redis_url=redis.url,
        redis_timeout=1.0,
        data_dir=data_dir,
        workers=1,
        secret="s" * 43,
        session_idle=idle.total_seconds(),
        session_lifetime=lifetime.total_seconds(),
    )
    async with running(settings, lambda: now) as service:
        begin = now
        used, unused = await service.person(), await service.login()
        for bearer, last in ((used, lifetime - SECOND), (unused, idle + GRAIN - SECOND)):
            visitor = Visitor(service, bearer, monkeypatch)
            async with visitor.client:
                now = begin
                assert await visitor.is_let_in_at_once()
                while bearer is used and now < begin + lifetime - idle:
                    now += idle
                    assert (await visitor.client.get("/auth/me")).status_code == 200
                    await service.parts.sessions.presence.write()
                    assert await visitor.is_let_in_at_once()
                now = begin + last
                assert await visitor.is_let_in_at_once()
                now += SECOND
                assert await visitor.is_refused()
