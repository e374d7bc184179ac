"""Fifty requests for the same thing at the same moment, half of them at another worker.

That a mailed token has its effect once is in test_mail.py, that an address is registered once in test_api.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from running import EMAIL, PASSWORD, Serve, Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

MANY = 50
NEW = "violet otter lantern"

Workers = tuple[Service, Service]


@pytest.fixture
async def workers(serve: Serve) -> AsyncIterator[Workers]:
    """Run two workers that refuse nobody, and that do not take a busy machine for stores that are away."""
    patient = {"hash_queue": 200, "rate_limits": False, "redis_timeout": 10, "pool_max_wait": 30, "query_timeout": 30}
    async with serve(**patient) as one, serve(**patient) as other:
        yield one, other


async def at_once(workers: Workers, *requests: dict[str, Any]) -> list[httpx.Response]:
    """Send requests at the same moment, in turn to each worker; none is answered with a 500."""
    answers = await asyncio.gather(
        *(workers[number % 2].client.request(**request) for number, request in enumerate(requests))
    )
    assert not [answer.text for answer in answers if answer.status_code == 500]
    return answers


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    """Count the answers by status."""
    return Counter(answer.status_code for answer in answers)


async def check(workers: Workers, bearer: dict[str, str]) -> list[int]:
    """Ask each worker whether a session is valid."""
    return [(await worker.client.get("/auth/check", headers=bearer)).status_code for worker in workers]


async def test_fifty_logouts_are_one(workers: Workers) -> None:
    """Each is told that it is over or was; it is over for every worker, and nobody else's is."""
    lost, kept = await workers[0].person(), await workers[1].login()
    await check(workers, lost)
    told = statuses(await at_once(workers, *[{"method": "POST", "url": "/auth/logout", "headers": lost}] * MANY))
    assert set(told) <= {204, 401}
    assert told[204] >= 1
    assert await check(workers, lost) == [401, 401]
    assert await check(workers, kept) == [204, 204]


async def test_of_fifty_revocations_one_ends_the_session(workers: Workers) -> None:
    """The others find no such session any more."""
    lost, kept = await workers[0].person(), await workers[1].login()
    await check(workers, lost)
    session = (await workers[0].client.get("/auth/check", headers=lost)).headers["x-session-id"]
    revocation = {"method": "DELETE", "url": f"/auth/sessions/{session}", "headers": kept}
    assert statuses(await at_once(workers, *[revocation] * MANY)) == {204: 1, 404: MANY - 1}
    assert await check(workers, lost) == [401, 401]
    assert await check(workers, kept) == [204, 204]


async def test_of_fifty_who_keep_only_themselves_at_most_one_stays(workers: Workers) -> None:
    """Sessions that all end the others at once: whoever is left has a row, whoever is not is refused everywhere."""
    await workers[0].register()
    bearers = [await workers[number % 2].login() for number in range(8)]
    revocations = [{"method": "DELETE", "url": "/auth/sessions", "headers": bearers[n % 8]} for n in range(MANY)]
    assert set(statuses(await at_once(workers, *revocations))) <= {204, 401}
    left = [await check(workers, bearer) for bearer in bearers]
    assert left.count([204, 204]) + left.count([401, 401]) == len(bearers)
    assert left.count([204, 204]) == (await workers[0].rows())["sessions"] <= 1


async def test_fifty_profile_changes_are_all_made(workers: Workers) -> None:
    """Each is answered with what it wrote, no field that another wrote is lost, and all see the same at the end."""
    bearer = await workers[0].person()
    fields = ("name", "bio", "locale")
    values = [(fields[n % 3], "en" if n % 3 == 2 else f"number {n}") for n in range(MANY)]
    changes = [
        {"method": "PUT", "url": "/users/profile", "headers": bearer, "json": {name: value}} for name, value in values
    ]
    answers = await at_once(workers, *changes)
    assert statuses(answers) == {200: MANY}
    assert [answer.json()[name] for answer, (name, _) in zip(answers, values, strict=True)] == [v for _, v in values]
    seen = [(await worker.client.get("/auth/me", headers=bearer)).json()["profile"] for worker in workers]
    row = await workers[0].sql.fetchrow("SELECT name, bio, locale FROM profiles")
    assert row is not None
    for name in fields:
        assert seen[0][name] == seen[1][name] == row[name]
        assert (name, row[name]) in values


async def test_of_fifty_password_changes_one_is_made(workers: Workers) -> None:
    """All knew the old password; one replaced it, and the session that asked goes on. A full queue may refuse some."""
    bearer, other = await workers[0].person(), await workers[1].login()
    words = [f"{NEW} {number}" for number in range(MANY)]
    answers = await at_once(
        workers,
        *(
            {
                "method": "POST",
                "url": "/auth/password",
                "headers": bearer,
                "json": {"current_password": PASSWORD, "new_password": word},
            }
            for word in words
        ),
    )
    told = statuses(answers)
    assert told[204] == 1, told
    assert set(told) <= {204, 422, 503}
    won = words[[answer.status_code for answer in answers].index(204)]
    login = await workers[0].client.post("/auth/login", json={"email": EMAIL, "password": won})
    assert login.status_code == 200
    assert await check(workers, bearer) == [204, 204]
    assert await check(workers, other) == [401, 401]


async def test_everything_at_once_leaves_the_workers_and_the_database_of_one_mind(workers: Workers) -> None:
    """Whatever came first, each session is valid everywhere or nowhere, and valid are those that have a row."""
    bearers = [await workers[0].person(), *[await workers[number % 2].login() for number in range(7)]]
    ids = [(await workers[0].client.get("/auth/check", headers=bearer)).headers["x-session-id"] for bearer in bearers]
    requests: list[dict[str, Any]] = []
    for number, bearer in enumerate(bearers):
        requests += [
            {"method": "GET", "url": "/auth/me", "headers": bearer},
            {"method": "PUT", "url": "/users/profile", "headers": bearer, "json": {"bio": str(number)}},
            {"method": "DELETE", "url": f"/auth/sessions/{ids[number - 3]}", "headers": bearer},
            {"method": "POST", "url": "/auth/login", "json": {"email": EMAIL, "password": PASSWORD}},
            {"method": "GET", "url": "/auth/sessions", "headers": bearer},
        ]
        if number > 4:
            requests.append({"method": "POST", "url": "/auth/logout", "headers": bearer})
    answers = await at_once(workers, *requests)
    assert set(statuses(answers)) <= {200, 204, 401, 404}, statuses(answers)
    bearers += [
        {"Authorization": f"Bearer {answer.json()['token']}"}
        for answer in answers
        if answer.status_code == 200 and "token" in answer.json()
    ]
    seen = [await check(workers, bearer) for bearer in bearers]
    assert seen.count([204, 204]) + seen.count([401, 401]) == len(bearers)
    assert seen.count([204, 204]) == (await workers[0].rows())["sessions"]
