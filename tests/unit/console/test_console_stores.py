"""The pages of the cache, the database, the alerts and the workers, before any script runs."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from unit.console.conftest import BUSY, NOW
from unit.console.test_console_pages import Reader

from console.pages.alerts import STATES
from console.pages.database import MOST_PLANS
from console.tuning import LiveSetting, PlanNode, QueryCard, QueryPlan, SettingInForce, Statistics
from observability.read.detail import BlockedView, CacheColumns, OperationView, StoreColumns
from observability.read.view import Alert, AlertState, Latency, RedisView, Transition

if TYPE_CHECKING:
    from unit.console.conftest import Served

    from observability.read.view import View

BY_EMAIL = OperationView(
    "postgresql", "user_by_email", 2.0, 0, 600, Latency(600, 0.001, 0.0213, 0.04), 1.5, 0.01, "missed"
)
BY_TOKEN = OperationView(
    "postgresql", "session_by_token", 0.1, 0, 30, Latency(30, 0.001, 0.002, 0.004), 0.5, 0.005, "too few"
)
SWEEP = OperationView("postgresql", "sessions_sweep", 0.0, 0, 0, Latency(), 0.0, 0.05, "too few")
MGET = OperationView("redis", "MGET", 16.7, 0, 5000, Latency(5000, 0.0002, 0.0004, 0.001), 1.0, None, "no target")
PLAN = QueryPlan(
    "user_by_email",
    "SELECT <1> FROM users WHERE email = $1",
    ("a…@example.org",),
    (
        PlanNode(0, "Nested Loop", (), 16.6, 1, 1, 1, 0.00002, 6),
        PlanNode(1, "Seq Scan on users", ("Filter: (email = '…')",), 8.3, 1, 1, 1, 0.00001, 3, sequential=True),
    ),
    0.0005,
    0.00004,
    ("It reads all of users from end to end, about 5,000 rows; an index would spare that.",),
)


async def test_the_cache_page_says_what_it_rests_on(visited: Served) -> None:
    """Families, evictions against the alert, memory against its limit and the policy are text; what is worth comes with sums."""
    visited.feed.operations_shown = (
        MGET,
        OperationView("postgresql", "session_by_token", 4.0, 0, 242, Latency(242), 0.484, 0.005, "met"),
    )
    visited.plans.cards = [QueryCard("session_by_token", "SELECT")]
    text = Reader(await visited.page("cache")).text
    for words in (
        "Hit rate 97.4 %",
        "Evictions a minute 2 14 expired; alert above 100",
        "Memory 48.0 MiB of 256 MiB (maxmemory)",
        "Policy volatile-lru",
        "PostgreSQL was spared 9,100 loads",
        "without a cache each would take 2.00 ms",
    ):
        assert words in text, words


async def test_a_cache_without_a_limit_or_with_another_policy_is_told_so(visited: Served) -> None:
    """No maxmemory is said in words, a policy that may evict what must stay is marked, evictions above the alert too."""
    redis = RedisView(101.0, 0.0, 1 << 20, 0, "allkeys-lru")
    visited.feed.shown = msgspec.structs.replace(BUSY, redis=redis)
    page = await visited.page("cache")
    assert "no limit (maxmemory is 0)" in page
    assert "should be volatile-lru" in page
    assert len(re.findall(r'class="tile bad" data-key="(?:policy|evictions)"', page)) == 2
    visited.feed.shown = msgspec.structs.replace(BUSY, redis=None)
    assert Reader(await visited.page("cache")).text.count("the Redis server does not tell") >= 3


async def test_each_family_has_its_columns(visited: Served) -> None:
    """Columns of families come by name, lookups are their sum, and a gap stays one."""
    family = CacheColumns("session", (9.0, None), (1.0, None), (2.0, None), (0.0, None), (0.75, None))
    rates = (1.0, None)
    visited.feed.stores_shown = StoreColumns(
        at=(int(NOW) - 1, int(NOW)),
        evictions_per_minute=rates,
        expirations_per_minute=rates,
        memory_used=rates,
        families=(family,),
    )
    points = {}
    async with visited.client.stream("GET", "/console/events", params={"page": "cache"}) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                points = msgspec.json.decode(line[6:])["points"]
                break
    assert points["session.lookups"] == [12.0, None]
    assert points["session.hit_rate"] == [0.75, None]
    assert points["memory_used"] == [1.0, None]


async def test_the_database_page_has_every_query(visited: Served) -> None:
    """Queries have calls, rows, p95, target, judgement and their share of the time; those not sent are named apart."""
    visited.feed.operations_shown = (BY_EMAIL, BY_TOKEN, SWEEP, MGET)
    visited.plans.cards = [QueryCard("user_by_email", "SELECT"), QueryCard("user_create", "INSERT", "It writes.")]
    visited.plans.counted = [Statistics("user_by_email", 612, 611, 0.00005, 0.002, 4321, 7)]
    page = await visited.page("database", query="session_by_token")
    text = Reader(page).text
    for words in (
        "Pool in use 4 of 20",
        "Wait p95 430 µs",
        "user_by_email 600 2.00 /s 0 1 1.00 ms 21.3 ms 10 ms missed 75.0 %",
        "session_by_token 30 0.10 /s",
        "2 queries that were not sent sessions_sweep 50 ms user_create Explain",
        "MGET 5,000 16.7 /s 0 200 µs 400 µs 1.00 ms 100 %",
        "user_by_email 612 611 50 µs 2.00 ms 4,321 7",
    ):
        assert words in text, words
    assert page.index('data-key="session_by_token" class="marked"') < page.index('data-key="user_by_email"')


async def test_a_plan_is_shown_when_it_is_asked_for(visited: Served) -> None:
    """EXPLAIN takes a form of ours; the plan stands on the page with its warnings, and is run only when that is asked for."""
    visited.plans.cards = [QueryCard("user_by_email", PLAN.sql)]
    visited.plans.known = {"user_by_email": PLAN}
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', await visited.page("database"))
    assert found is not None
    token = {"form_token": found[1]}
    explained = await visited.client.post("/console/database/explain", data=token | {"query": "user_by_email"})
    assert explained.status_code == 200
    read = Reader(explained.text)
    assert read.inline == []
    for words in (
        "SELECT <1> FROM users",
        "It took 40 µs , and planning it 500 µs",
        "It reads all of users from end to end",
        "Level 2: Seq Scan on users sequential Filter: (email = '…')",
        "Run it again",
        "a…@example.org",
    ):
        assert words in read.text, words
    await visited.client.post("/console/database/explain", data=token | {"run": "user_by_email"})
    assert visited.plans.asked == [("user_by_email", False), ("user_by_email", True)]
    refused = await visited.client.post("/console/database/explain", data=token | {"query": "none"})
    assert refused.status_code == 409
    assert "There is no query &#39;none&#39;." in refused.text
    assert (await visited.client.post("/console/database/explain", data={"query": "user_by_email"})).status_code == 403
    assert (await visited.client.get("/console/database/explain?query=user_by_email")).status_code == 405
    assert len(visited.plans.asked) == 3


async def test_so_many_queries_are_explained_at_once_and_one_more_is_not(visited: Served) -> None:
    """Each takes a connection of its own: who comes third is told to try again, and nothing is asked for it."""
    visited.plans.known = {"user_by_email": PLAN}
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', await visited.page("database"))
    assert found is not None
    form = {"form_token": found[1], "query": "user_by_email"}
    visited.plans.held = asyncio.Event()
    asking = [
        asyncio.create_task(visited.client.post("/console/database/explain", data=form)) for _ in range(MOST_PLANS)
    ]
    async with asyncio.timeout(60):
        while len(visited.plans.asked) < MOST_PLANS:  # noqa: ASYNC110 - nobody tells of a plan that is asked for
            await asyncio.sleep(0.01)
    refused = await visited.client.post("/console/database/explain", data=form)
    assert refused.status_code == 409
    assert "Other queries are being explained; try again in a moment." in refused.text
    visited.plans.held.set()
    assert [answer.status_code for answer in await asyncio.gather(*asking)] == [200] * MOST_PLANS
    assert len(visited.plans.asked) == MOST_PLANS


async def test_a_query_that_writes_is_not_offered_to_be_run(visited: Served) -> None:
    """Where running a query would change something, its plan says why it was not run, and has no button for it."""
    visited.plans.cards = [QueryCard("user_by_email", PLAN.sql, "It writes, so it is planned and not run.")]
    unrun = [msgspec.structs.replace(node, rows=None, loops=None, seconds=None, pages=None) for node in PLAN.nodes]
    visited.plans.known = {
        "user_by_email": msgspec.structs.replace(PLAN, nodes=tuple(unrun), planning=None, execution=None)
    }
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', await visited.page("database"))
    assert found is not None
    form = {"form_token": found[1], "query": "user_by_email"}
    page = (await visited.client.post("/console/database/explain", data=form)).text
    assert "It writes, so it is planned and not run." in page
    assert 'name="run"' not in page
    assert "It took" not in page


async def test_what_is_past_is_not_told_as_present(visited: Served) -> None:
    """Of a time that is over the pool's present state is not shown, and queries are of that time."""
    text = Reader(await visited.page("database", until="1795378000", range="60")).text
    assert text.count("known of the present only") >= 6
    assert "4 of 20" not in text
    assert any(period.until == 1_795_378_000 and period.seconds == 60 for period in visited.feed.periods)


def _alert(state: AlertState, figure: float | None, subject: str = "POST /auth/login") -> Alert:
    return Alert("latency", subject, state, NOW - 90, NOW, NOW, figure, 2.0, f"reason {state}", "times")


async def test_every_alert_has_its_state_in_words(visited: Served) -> None:
    """Each state is a word of its own, the figure stands against its threshold, and what fires stands on top."""
    alerts = (
        _alert("firing", 7.0),
        _alert("ok", 1.0, "the second"),
        _alert("too few", None, "the third"),
        _alert("unknown", None, "the fourth"),
    )
    history = (Transition(NOW - 60, "latency", "POST /auth/login", "pending", "firing", "it was above for long"),)
    visited.feed.shown = msgspec.structs.replace(BUSY, alerts=alerts, transitions=history, alerts_at=NOW)
    page = await visited.page("alerts")
    text = Reader(page).text
    for words in (
        "Firing 1",
        "What fires firing latency POST /auth/login for 1 min 30 s. Reason firing.",
        "1 min 30 s 7 \N{MULTIPLICATION SIGN} 2 \N{MULTIPLICATION SIGN} Reason firing.",
        "1 min 30 s 1 \N{MULTIPLICATION SIGN} 2 \N{MULTIPLICATION SIGN} Reason ok.",
        "1 min 30 s \N{EN DASH} (reason too few) 2 \N{MULTIPLICATION SIGN}",
        "1 min 30 s \N{EN DASH} (reason unknown) 2 \N{MULTIPLICATION SIGN}",
        "latency POST /auth/login pending firing It was above for long.",
        "evaluated once for the whole fleet",
    ):
        assert words in text, words
    assert 'href="/console/route?method=POST&amp;route=%2Fauth%2Flogin"' in page


async def test_alerts_that_were_never_evaluated_are_not_counted_as_none(visited: Served, nothing: View) -> None:
    """Before the first evaluation there are dashes, and a sentence instead of an empty table."""
    visited.feed.shown = nothing
    text = Reader(await visited.page("alerts")).text
    assert text.count("nothing was evaluated yet") == len(STATES)
    assert "The rules have not been evaluated yet: telemetry is off." in text


async def test_workers_show_what_they_use_and_run(visited: Served) -> None:
    """Processes, telemetry's cost, versions, what held up loops, and settings with where they come from are text."""
    worker = msgspec.structs.replace(
        BUSY.workers[0],
        release="0.1.0",
        about=(("python", "3.11.7"),),
        threads=5,
        open_files=61,
        tasks=38,
        gc_p99=0.0123,
        gc_per_minute=4.5,
        blocked=2,
        telemetry=0.000037,
        published=17_000.0,
        dropped=1,
        series=12,
        most_series=500,
        kept=9,
    )
    visited.feed.shown = msgspec.structs.replace(BUSY, workers=(worker,))
    visited.feed.blocked_shown = (
        BlockedView(
            NOW, 0.4, "report (app/report.py:12)", ("main (a.py:1)",), (("GET /auth/me", 3),), "host:8000", "w1"
        ),
    )
    visited.settings.others = [
        SettingInForce("GATEWATCH_PORT", "8112", "environment", "Where it listens."),
        SettingInForce("GATEWATCH_HOST", "127.0.0.1", "default", "Where it listens."),
    ]
    visited.settings.shown = [
        LiveSetting(
            "pool_size", "Pool", "Pool size", "How many.", "integer", "1", "20", 1, 40, "", "GATEWATCH_POOL_SIZE"
        )
    ]
    text = Reader(await visited.page("workers")).text
    for words in (
        "host:8000 pid 4121 1 h 06 min 412,331 3 34.0 % 71.0 MiB 2.10 ms 2 12.3 ms 4.5 38 5 61",
        "host:8000 pid 4121 37 µs 16.6 KiB/s 9 1 12 of 500",
        "Release 0.1.0 python 3.11.7",
        "report (app/report.py:12) 400 ms",
        "GATEWATCH_POOL_SIZE 1 changed GATEWATCH_PORT 8112 environment 1 default GATEWATCH_HOST 127.0.0.1 default",
        "Hash queue 1 of 32 2 threads, none refused",
    ):
        assert words in text, words


@pytest.mark.parametrize("path", ["cache", "database", "alerts", "workers"])
async def test_nothing_known_is_no_zero(visited: Served, nothing: View, path: str) -> None:
    """With nothing known each page stands, shows dashes that say why, and nothing inline."""
    visited.feed.shown = nothing
    page = await visited.page(path)
    assert page.count('class="missing"') >= 4
    assert Reader(page).inline == []
