"""The load generator's users, and how they go away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.repositories.accounts import Accounts

if TYPE_CHECKING:
    from running import Service


async def test_a_purge_takes_the_load_users_and_nobody_else(service: Service) -> None:
    """Accounts under load.invalid go with profiles and sessions, in batches; a cached session of theirs opens nothing."""
    ann = await service.person("ann@example.org")
    load = [await service.person(f"u{number}.run@load.invalid") for number in range(5)]
    for bearer in (ann, *load):
        assert (await service.client.get("/auth/me", headers=bearer)).status_code == 200
    accounts = Accounts(service.parts.database, service.parts.invalidations)
    assert await accounts.purge_load_users(batch=2) == 5
    await service.parts.invalidations.settle()
    assert await service.rows() == {"users": 1, "profiles": 1, "sessions": 1, "pending_invalidations": 0}
    for bearer in load:
        assert (await service.client.get("/auth/check", headers=bearer)).status_code == 401
    assert (await service.client.get("/auth/me", headers=ann)).status_code == 200
    assert await accounts.purge_load_users() == 0
