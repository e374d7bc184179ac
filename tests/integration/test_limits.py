"""Rate limits: in Redis, without Redis, and as a client meets them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from collections import Counter
from fractions import Fraction
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from running import EMAIL, PASSWORD, Serve, Service
from sanic import Sanic

from app.handlers.limits import HOT, TABLE
from app.security.limits import Demand, Limit, MemoryBuckets, Role
from app.storage.cache import Cache
from app.storage.limits import GIVE_BACK, TAKE, RedisBuckets
from app.storage.script import Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from app.embedded import Server

BEHIND_A_PROXY = {"trusted_proxies": (ip_network("127.0.0.0/8"),)}
"""Settings under which a test may come from any address, as a client of a proxy on this machine."""

WRONG = {"email": EMAIL, "password": "not the password"}
RIGHT = {"email": EMAIL, "password": PASSWORD}
RATE_LIMIT_FIELDS = ("ratelimit", "ratelimit-policy", "retry-after")


def demand(key: str, limit: Limit, role: Role = "all", *, alarmed: int | None = None) -> Demand:
    """Ask one of a bucket; ``alarmed`` is its quota while alarmed."""
    quota = limit.quota if alarmed is None else alarmed
    return Demand(key, role, limit.interval, limit.depth, limit.interval * quota)


@pytest.fixture
async def cache(redis: Server) -> AsyncIterator[Cache]:
    """Return a way to Redis that takes its time."""
    cache = Cache.at(redis.url, timeout=5)
    yield cache
    await cache.close()


@pytest.fixture
async def buckets(cache: Cache) -> RedisBuckets:
    """Return buckets in Redis."""
    return RedisBuckets(cache)


@pytest.fixture
async def client(redis: Server) -> AsyncIterator[Redis]:
    """Return a plain client that looks at what is in Redis."""
    client = Redis.from_url(redis.url, decode_responses=True)
    yield client
    await client.aclose()


async def test_of_a_hundred_at_once_exactly_the_quota_passes(buckets: RedisBuckets) -> None:
    """Concurrent calls never share a place: 30 of 100 pass, whatever their order, and each is told another rest."""
    wanted = demand("rate_limit:a:b", Limit(30, 3600))
    levels = await asyncio.gather(*(buckets.take([wanted]) for _ in range(100)))
    passed = [filled for [(_, wait, filled)] in levels if not wait]
    assert len(passed) == len(set(passed)) == 30


async def test_who_waits_as_long_as_told_passes_and_not_before(buckets: RedisBuckets) -> None:
    """After the quota at once, one request passes each interval: the wait that is told is neither too short nor too long."""
    wanted = demand("rate_limit:a:b", Limit(5, 10))
    begun = time.monotonic()
    *passed, wait = await _waits(buckets, wanted, 6)
    assert passed == [0] * 5
    assert 0 < wait <= 2_000_000
    await asyncio.sleep(wait / 1_000_000)
    overslept = -wait / 1_000_000 - begun
    *passed, wait = await _waits(buckets, wanted, 7)
    overslept += time.monotonic()
    assert 1 <= passed.count(0) <= 1 + overslept / 2
    assert 0 < wait <= 2_000_000


async def _waits(buckets: RedisBuckets, wanted: Demand, times: int) -> list[int]:
    """Ask so many times at once, which no interval is too short for; return the waits, the longest last."""
    levels = await asyncio.gather(*(buckets.take([wanted]) for _ in range(times)))
    return sorted(wait for [(_, wait, _)] in levels)


async def test_a_request_refused_under_one_limit_uses_up_no_other(buckets: RedisBuckets) -> None:
    """Several limits are decided together in one round trip."""
    narrow, wide = demand("rate_limit:n:e", Limit(1, 3600)), demand("rate_limit:w:e", Limit(9, 3600))
    before = buckets._cache.round_trips
    levels = [await buckets.take([wide, narrow]) for _ in range(3)]
    assert buckets._cache.round_trips - before == 3
    assert [bool(level[1][1]) for level in levels] == [False, True, True]
    [(_, _, filled)] = await buckets.take([wide])
    assert round(filled / wide.interval) == 2


async def test_every_key_goes_within_an_hour(buckets: RedisBuckets, client: Redis) -> None:
    """Ten thousand addresses leave keys that all have a time to live, and none longer than an hour."""
    wanted = [demand(f"rate_limit:10.{n >> 8}.{n & 255}.1:login", Limit(7, 3600)) for n in range(10_000)]
    for first in range(0, len(wanted), 100):
        await buckets.take(wanted[first : first + 100])
    await buckets.give_back([demand("rate_limit:m", Limit(1, 3600), "marker"), wanted[0]])
    await buckets.take(wanted[-1:] * 6)
    keys = [key async for key in client.scan_iter(count=1000)]
    assert len(keys) == 10_000  # one was given back whole, the marker came
    assert all([0 < await client.pttl(key) <= 3_600_000 for key in keys])


async def test_a_clock_set_back_does_not_stick(buckets: RedisBuckets, client: Redis) -> None:
    """A bucket that claims to be fuller than it can be is an empty one."""
    wanted = demand("rate_limit:a:b", Limit(5, 60))
    [seconds, _] = await client.time()
    await client.set(wanted.key, (seconds + 3600) * 1_000_000, px=3_600_000)
    levels = [(await buckets.take([wanted]))[0] for _ in range(6)]
    assert [bool(wait) for _, wait, _ in levels] == [False] * 5 + [True]
    assert await client.pttl(wanted.key) <= 60_000


ROLES: tuple[Role, ...] = ("marker", "alarm", "known", "stranger", "all")
STEPS = st.lists(
    st.tuples(st.integers(0, 3_000_000), st.booleans(), st.sampled_from([ROLES, ("all",), ("alarm", "stranger")])),
    max_size=30,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(quotas=st.tuples(*[st.integers(1, 5)] * 5), seconds=st.integers(1, 4), steps=STEPS)
async def test_redis_and_memory_decide_alike(
    cache: Cache, client: Redis, quotas: tuple[int, ...], seconds: int, steps: list[tuple[int, bool, tuple[Role, ...]]]
) -> None:
    """Through any history of takes and returns, the script and the class that stands in for it answer the same."""
    now = 1_790_000_000_000_000
    await client.flushall()
    memory = MemoryBuckets(clock=lambda: cast("float", Fraction(now, 1_000_000)))
    limits = dict(zip(ROLES, quotas, strict=True))
    for passed, is_return, roles in steps:
        now += passed
        clock = f"{{{now // 1_000_000}, {now % 1_000_000}}}"
        wanted = [demand(f"k:{role}", Limit(limits[role], seconds), role, alarmed=1) for role in roles]
        keys, arguments = [one.key for one in wanted], [value for one in wanted for value in one[1:]]
        if is_return:
            # Redis's own clock ends keys: here time stands still for it, so nothing may depend on an end.
            script = Script(GIVE_BACK.text.replace("redis.call('TIME')", clock))
            if "marker" not in roles:
                await cache.run(script, keys, arguments, count=0)
                memory.give_back(wanted)
        else:
            script = Script(TAKE.text.replace("redis.call('TIME')", clock))
            flat = await cache.run(script, keys, arguments, count=3 * len(keys))
            assert [value for level in memory.take(wanted) for value in level] == flat


async def post(service: Service, path: str, body: dict[str, str], address: str = "", **headers: str) -> httpx.Response:
    """Call from an address, as a proxy on this machine would forward it."""
    forwarded = {"x-forwarded-for": address} if address else {}
    return await service.client.post(path, json=body, headers={**forwarded, **headers})


async def statuses(service: Service, times: int, body: dict[str, str], address: str = "") -> Counter[int]:
    """Count how so many logins, one after the other, are answered."""
    return Counter([(await post(service, "/auth/login", body, address)).status_code for _ in range(times)])


async def test_a_client_is_told_how_it_stands_and_when_to_come_back(serve: Serve) -> None:
    """Each answer carries policy and rest; past the quota it is 429 with a problem, and after Retry-After it is not."""
    async with serve(limit_logins=(3, 12)) as service:
        nobody = {"email": "nobody@example.org", "password": PASSWORD}
        # At once, since a busy machine may hash no three passwords in an interval.
        answers = await asyncio.gather(*(post(service, "/auth/login", nobody) for _ in range(4)))
        answers.sort(key=lambda answer: (answer.status_code, -_left(answer)))
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"client";q=3;w=12'}
        assert [_left(answer) for answer in answers] == [2, 1, 0, 0]
        refused = answers[3]
        assert refused.headers["content-type"] == "application/problem+json"
        assert (refused.json()["code"], refused.json()["status"]) == ("rate-limited", 429)
        wait = int(refused.headers["retry-after"])
        assert 1 <= wait <= 4
        assert refused.headers["ratelimit"] == f'"client";r=0;t={wait}'
        await asyncio.sleep(wait)
        await service.register()
        assert (await post(service, "/auth/login", RIGHT)).headers["ratelimit-policy"] == '"client";q=3;w=12'


def _left(answer: httpx.Response) -> int:
    """Return how many more the client may send at once."""
    return int(answer.headers["ratelimit"].partition(";t=")[0].removeprefix('"client";r='))


async def test_a_forwarded_address_counts_from_a_listed_proxy_only(serve: Serve) -> None:
    """Whoever is not listed cannot pass a limit by naming another address each time."""
    addresses = [f"198.51.100.{n}" for n in range(4)]
    behind_another = {"trusted_proxies": (ip_network("192.0.2.0/24"),)}
    for trusted, refused in (({}, 2), (behind_another, 2), (BEHIND_A_PROXY, 0)):
        async with serve(limit_logins=(2, 3600), **trusted) as service:
            seen = [await statuses(service, 1, WRONG, address) for address in addresses]
            assert sum(seen, Counter())[429] == refused
            await service.parts.cache._ask("FLUSHALL", 1, lambda _: [("FLUSHALL",)])


async def test_an_ipv6_subscriber_is_one_client(serve: Serve) -> None:
    """Every address of a /64 counts as one; the next /64 is another."""
    async with serve(limit_logins=(2, 3600), **BEHIND_A_PROXY) as service:
        for n in range(2):
            assert await statuses(service, 1, WRONG, f"2001:db8:0:1::{n:x}") == {401: 1}
        assert await statuses(service, 1, WRONG, "2001:db8:0:1:ffff::9") == {429: 1}
        assert await statuses(service, 1, WRONG, "2001:db8:0:2::1") == {401: 1}


async def test_nobody_loses_the_way_to_a_new_password_by_others(serve: Serve) -> None:
    """Who asks again and again to verify an address that is verified sends its owner nothing, and takes nothing from them."""
    async with serve(limit_mails_to_address=(3, 3600)) as service:
        body = {"email": EMAIL}
        asked = [await service.client.post("/auth/verify-email/resend", json=body) for _ in range(4)]
        assert [answer.status_code for answer in asked] == [202, 202, 202, 429]
        assert (await service.client.post("/auth/password/forgot", json=body)).status_code == 202


async def test_guessing_at_one_account_is_stopped(serve: Serve) -> None:
    """However it is written and whichever of its neighbours a guesser comes from, an account has so many wrong passwords."""
    async with serve(limit_guesses=(4, 3600), **BEHIND_A_PROXY) as service:
        await service.register()
        for n, spelling in enumerate((EMAIL, "ANN@example.org", " ann@EXAMPLE.org ", "\t" * 400 + EMAIL)):
            answer = await post(
                service, "/auth/login", {"email": spelling, "password": "not the password"}, f"192.0.2.{n}"
            )
            assert answer.status_code == 401
        refused = await post(service, "/auth/login", RIGHT, "192.0.2.9")
        assert refused.status_code == 429
        assert refused.headers["ratelimit-policy"].startswith('"account";q=4;w=3600')


async def test_guesses_at_once_do_not_pass_together(serve: Serve) -> None:
    """A guess is counted before it is tried: of thirty at once no more are tried than one after the other would be."""
    async with serve(limit_guesses=(4, 3600), hash_queue=100, redis_timeout=5) as service:
        await service.register()
        answers = await asyncio.gather(*(post(service, "/auth/login", WRONG) for _ in range(30)))
        assert Counter(answer.status_code for answer in answers) == {401: 4, 429: 26}


async def test_logins_that_succeed_are_no_guesses(serve: Serve) -> None:
    """A person may log in as often as it likes."""
    async with serve(limit_guesses=(2, 3600), limit_guesses_in_all=(2, 3600)) as service:
        await service.register()
        assert await statuses(service, 12, RIGHT) == {200: 12}
        assert await statuses(service, 3, WRONG) == {401: 2, 429: 1}


async def test_a_login_that_could_not_be_tried_is_no_guess(serve: Serve) -> None:
    """A 503 is not held against the one who got it: as many guesses are tried as if it had not been."""
    async with serve(limit_guesses=(30, 3600), hash_threads=1, hash_queue=0, redis_timeout=5) as service:
        await service.register()
        answers = await asyncio.gather(*(post(service, "/auth/login", WRONG) for _ in range(20)))
        seen = Counter(answer.status_code for answer in answers)
        assert set(seen) == {401, 503}
        left = 30 - seen[401]
        assert await statuses(service, left + 1, WRONG) == {401: left, 429: 1}


async def test_nobody_is_locked_out_by_somebody_else(serve: Serve) -> None:
    """While a thousand addresses in a hundred networks guess at an account, its owner logs in from wherever it is."""
    async with serve(limit_guesses=(5, 3600), limit_guesses_in_all=(20, 3600), **BEHIND_A_PROXY) as service:
        await service.register()
        assert await statuses(service, 1, RIGHT, "192.0.2.7") == {200: 1}
        for n in range(1000):
            await post(service, "/auth/login", WRONG, f"10.1.{n % 100}.{n}" if n < 256 else f"10.1.{n % 100}.{n % 256}")
        assert await statuses(service, 1, RIGHT, "203.0.113.50") == {200: 1}  # a network that was never seen
        assert await statuses(service, 1, RIGHT, "192.0.2.7") == {200: 1}  # an address that is known
        # Guessing from the owner's own network stops strangers there, and not the address that is known.
        assert (await statuses(service, 9, WRONG, "192.0.2.8"))[429] > 0
        assert await statuses(service, 9, RIGHT, "192.0.2.7") == {200: 9}


async def test_an_account_under_attack_is_guarded_closer(serve: Serve) -> None:
    """Past the guesses in all, a network that the account does not know has a fifth of them, a known client all."""
    async with serve(limit_guesses=(10, 3600), limit_guesses_in_all=(20, 3600), **BEHIND_A_PROXY) as service:
        await service.register()
        assert await statuses(service, 1, RIGHT, "192.0.2.7") == {200: 1}
        for n in range(2):
            assert await statuses(service, 10, WRONG, f"10.1.{n}.1") == {401: 10}
        assert await statuses(service, 3, WRONG, "10.1.3.1") == {401: 2, 429: 1}
        assert await statuses(service, 11, WRONG, "192.0.2.7") == {401: 10, 429: 1}


async def test_an_unknown_account_is_limited_like_a_known_one(serve: Serve) -> None:
    """The limits tell a guesser nothing: statuses, bodies and headers are those of an account that exists."""
    async with serve(limit_guesses=(3, 3600)) as service:
        await service.register()
        seen = []
        for email in (EMAIL, "nobody@example.org", "no address at all"):
            for _ in range(5):
                answer = await post(service, "/auth/login", {"email": email, "password": "not the password"})
                wait = answer.headers.get("retry-after")  # it is less by each second that has passed meanwhile
                assert wait is None or 0 < int(wait) <= 1200
                policy = answer.headers.get("ratelimit-policy")
                seen.append((answer.status_code, answer.json()["detail"], policy, wait is None))
        assert seen[:5] == seen[5:10] == seen[10:]


async def test_keys_name_nobody(serve: Serve, client: Redis) -> None:
    """A limit is kept under the address of the client, or under a hash of the account's."""
    async with serve(limit_logins=(9, 3600), limit_registrations=(9, 3600)) as service:
        await service.register()
        await post(service, "/auth/login", WRONG)
        keys = {key async for key in client.scan_iter("rate_limit:*")}
        account = f"rate_limit:account:{hashlib.sha256(EMAIL.encode()).hexdigest()}"
        assert keys == {
            "rate_limit:127.0.0.1:register",
            "rate_limit:127.0.0.1:login",
            f"{account}:register:127.0.0.0/24",
            f"{account}:login",
            f"{account}:login:127.0.0.0/24",
        }


async def test_without_redis_each_process_counts_for_itself(serve: Serve, redis: Server) -> None:
    """With Redis killed nothing is a 500 and nothing is unlimited: guesses and logins stop where they did."""
    async with serve(limit_guesses=(5, 3600), limit_logins=(12, 3600)) as service:
        await service.register()
        os.kill(redis.pid, signal.SIGKILL)
        assert await statuses(service, 8, WRONG) == {401: 5, 429: 3}
        others = [{"email": f"{n}@example.org", "password": PASSWORD} for n in range(9)]
        answers = [await post(service, "/auth/login", other) for other in others]
        assert [answer.status_code for answer in answers] == [401] * 7 + [429] * 2
        assert answers[8].headers["ratelimit-policy"] == '"client";q=12;w=3600'


async def test_checks_are_limited_without_redis(serve: Serve) -> None:
    """GET /auth/check and GET /auth/me have a limit for each address in each process, and cost Redis nothing for it."""
    async with serve(limit_checks=(5, 3600), **BEHIND_A_PROXY) as service:
        bearer = await service.person()
        await service.client.get("/auth/me", headers={**bearer, "x-forwarded-for": "203.0.113.1"})
        for path in ("/auth/check", "/auth/me"):
            before = service.parts.cache.round_trips
            answers = [await service.client.get(path, headers=bearer) for _ in range(6)]
            assert [answer.is_success for answer in answers] == [True] * 5 + [False]
            assert service.parts.cache.round_trips - before == 5
            assert answers[5].status_code == 429
            assert all(name in answers[5].headers for name in RATE_LIMIT_FIELDS)
            other = await service.client.get(path, headers={**bearer, "x-forwarded-for": "203.0.113.1"})
            assert other.is_success


async def test_limits_can_be_switched_off(serve: Serve, client: Redis) -> None:
    """Then nothing is limited, counted or said."""
    tight: dict[str, Any] = {"limit_logins": (1, 3600), "limit_guesses": (1, 3600), "limit_checks": (1, 3600)}
    async with serve(rate_limits=False, **tight) as service:
        bearer = await service.person()
        assert await statuses(service, 3, WRONG) == {401: 3}
        answers = [await service.client.get("/auth/check", headers=bearer) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [204] * 3
        assert not any(name in answer.headers for answer in answers for name in RATE_LIMIT_FIELDS)
        assert [key async for key in client.scan_iter("rate_limit:*")] == []


async def test_the_guides_logins_from_one_address_are_not_limited(serve: Serve) -> None:
    """By default a load balancer that no one listed may send 5,000 logins a minute, the peak we are held to."""
    async with serve() as service:
        answer = await post(service, "/auth/login", WRONG)
        quota, _, window = answer.headers["ratelimit-policy"].removeprefix('"client";q=').partition(";w=")
        assert int(quota) * 60 / int(window) >= 5000


@pytest.mark.usefixtures("service")
async def test_whatever_takes_a_password_or_sends_a_mail_is_limited() -> None:
    """A route under /auth that anyone may POST to has its row in the table, and a row has its route."""
    app = next(reversed(Sanic._app_registry.values()))
    places = {(method, f"/{route.path}") for route in app.router.routes for method in route.methods}
    posts = {place for place in places if place[0] == "POST" and place[1].startswith("/auth/")}
    assert posts - {("POST", "/auth/logout")} <= set(TABLE)
    assert set(TABLE) | HOT <= places
