"""Starting, watching and stopping a load run from the console."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

if TYPE_CHECKING:
    import httpx
    from unit.console.conftest import Served

from unit.console.conftest import NOW

from console.ports import LoadChanges, LoadColumns, LoadEndpoint, ScenarioCard
from console.tuning import Comparison, Difference

CARD = ScenarioCard("smoke", "half a minute", 30, 20, 2400, 5000, 120_000, 3600)


async def post(served: Served, path: str, *, script: bool = False, **fields: str) -> httpx.Response:
    """Send one of the page's forms, as a browser or as its script would."""
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', await served.page("load"))
    assert found is not None
    headers = {"accept": "application/json"} if script else {}
    return await served.client.post(path, data={"form_token": found[1]} | fields, headers=headers)


async def test_a_run_is_started_shown_and_stopped_without_a_script(visited: Served) -> None:
    """The forms alone start a run, show its progress and stop it."""
    answer = await post(visited, "/console/load/start", scenario="baseline")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/load")
    page = await visited.page("load")
    run = visited.load.going[0].run
    assert f'name="run" value="{run}"' in page
    assert '<progress max="30"' in page
    assert "12 s of 30 s" in page
    answer = await post(visited, "/console/load/stop", run=run)
    assert answer.status_code == 303
    assert visited.load.asked == [("start", "baseline"), ("stop", run)]
    assert "<progress" not in await visited.page("load")


async def test_a_script_is_told_the_run(visited: Served) -> None:
    """A script that starts a run is answered with its id."""
    answer = await post(visited, "/console/load/start", script=True, scenario="smoke")
    assert answer.json() == {"run": visited.load.going[0].run}


async def test_a_refused_start_says_why(visited: Served) -> None:
    """A refusal is a sentence: on the page for a person, in JSON for the script."""
    await post(visited, "/console/load/start", scenario="smoke")
    answer = await post(visited, "/console/load/start", scenario="smoke")
    assert answer.status_code == 409
    assert "A run is going on already; stop it first." in answer.text
    answer = await post(visited, "/console/load/start", script=True, scenario="smoke")
    assert answer.json() == {"message": "A run is going on already; stop it first."}


async def test_a_refused_stop_says_why(visited: Served) -> None:
    """Stopping what is over is refused in words."""
    answer = await post(visited, "/console/load/stop", script=True, run="none")
    assert (answer.status_code, answer.json()) == (409, {"message": "That run is over."})


async def test_where_load_is_off_the_page_says_so(visited: Served) -> None:
    """Without leave to run load there is a reason and no button."""
    visited.load.refused = "Load runs are off here: set GATEWATCH_LOAD=on."
    page = await visited.page("load")
    assert visited.load.refused in page
    assert 'form="load-start"' not in page
    answer = await post(visited, "/console/load/start", script=True, scenario="smoke")
    assert answer.json() == {"message": visited.load.refused}


async def test_the_last_result_is_judged_per_endpoint(visited: Served) -> None:
    """The last run's table shows each endpoint's figures and verdict."""
    await post(visited, "/console/load/start", scenario="smoke")
    endpoints = (
        LoadEndpoint("login", "POST", "/auth/login", 431, 2, 0.046, 0.24, 0.4, 0.2, "FAIL"),
        LoadEndpoint("logout", "POST", "/auth/logout", 41, 0, 0.006, 0.02, 0.03, 0.1, "TOO FEW"),
    )
    visited.load.going[0] = msgspec.structs.replace(
        visited.load.going[0], state="done", verdict="FAIL", validity="INVALID", endpoints=endpoints
    )
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", await visited.page("load")))
    assert "Last run: smoke FAIL INVALID" in text
    assert "login 431 2 46.0 ms 240 ms 400 ms 200 ms FAIL" in text
    assert "logout 41 0 6.00 ms 20.0 ms 30.0 ms 100 ms TOO FEW" in text


async def test_a_report_is_handed_out_to_be_kept(visited: Served) -> None:
    """The page links to both files of a run that is over; they are attachments, and no pages of the console."""
    await post(visited, "/console/load/start", scenario="smoke")
    run = visited.load.going[0].run
    assert f"/load/runs/{run}/" not in await visited.page("load")
    visited.load.going[0] = msgspec.structs.replace(visited.load.going[0], state="done", verdict="PASS")
    page = await visited.page("load")
    for file, kind in (("report.html", "text/html; charset=utf-8"), ("result.json", "application/json")):
        assert f'href="/console/load/runs/{run}/{file}" download' in page
        answer = await visited.client.get(f"/console/load/runs/{run}/{file}")
        assert (answer.status_code, answer.text) == (200, f"{file} of {run}")
        assert answer.headers["content-type"] == kind
        assert answer.headers["content-disposition"] == f'attachment; filename="{run}-{file}"'
        assert answer.headers["content-security-policy"].endswith("; sandbox")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["none/report.html", "run/status.json", "..%2f..%2fsecret/report.html", "%2e%2e/report.html"]
)
async def test_nothing_else_is_handed_out(visited: Served, path: str) -> None:
    """A run that is none and a file that is no report are not found, whatever is written for them."""
    answer = await visited.client.get(f"/console/load/runs/{path}")
    assert answer.status_code == 404
    assert "content-disposition" not in answer.headers


async def test_a_report_is_for_visitors(served: Served) -> None:
    """Whoever has not come in is shown the way in."""
    answer = await served.client.get("/console/load/runs/run/report.html")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/login")


async def test_numbers_are_changed_within_their_bounds(visited: Served) -> None:
    """What is written goes to the run; what cannot be is refused beside its field, and shown again."""
    visited.load.cards = (CARD,)
    await post(visited, "/console/load/start", scenario="smoke", users="5", rate="1,200", seconds="", seed="7")
    assert visited.load.changes == [LoadChanges(users=5, rate_per_minute=1200.0, seed=7)]
    answer = await post(visited, "/console/load/start", script=True, scenario="smoke", users="6000")
    assert answer.json() == {"message": "Users must be a whole number from 1 to 5,000.", "field": "users"}
    answer = await post(visited, "/console/load/start", scenario="smoke", rate="lots")
    assert answer.status_code == 409
    assert 'name="rate"' in answer.text
    assert 'value="lots"' in answer.text
    assert re.search(r'id="load-rate-notice" role="alert">Requests a minute must be a number', answer.text)
    assert len(visited.load.changes) == 1


async def test_what_a_plan_has_of_its_own_cannot_be_changed(visited: Served) -> None:
    """A number without a most is the plan's own."""
    visited.load.cards = (msgspec.structs.replace(CARD, most_rate_per_minute=0),)
    answer = await post(visited, "/console/load/start", script=True, scenario="smoke", rate="60")
    assert answer.json()["field"] == "rate"
    assert "the plan of smoke has its own" in answer.json()["message"]


async def test_a_login_storm_is_one_button(visited: Served) -> None:
    """Where there is such a scenario, a form of its own starts it."""
    assert "Login storm" not in await visited.page("load")
    visited.load.cards = (CARD, msgspec.structs.replace(CARD, name="storm"))
    page = await visited.page("load")
    assert re.search(r'<form id="load-storm".*?name="scenario" value="storm"', page, re.DOTALL)
    assert 'form="load-storm"' in page


async def test_two_runs_are_compared_by_a_link(visited: Served) -> None:
    """The history offers two runs; the page they lead to says what is certain, or why nothing is."""
    await post(visited, "/console/load/start", scenario="smoke")
    done = msgspec.structs.replace(visited.load.going[0], state="done", verdict="PASS", validity="VALID")
    earlier = msgspec.structs.replace(done, run="20261122T200000-smoke-0000")
    visited.load.going = [done, earlier]
    page = await visited.page("load")
    assert re.search(rf'name="before" value="{earlier.run}"[^>]*checked', page)
    assert re.search(rf'name="after" value="{done.run}"[^>]*checked', page)
    page = await visited.page("load", before=done.run, after="other")
    assert "There are no such runs." in page
    visited.load.seconds = LoadColumns(1.0, (0.0,), p50=(0.1,), p95=(0.2,), p99=(0.3,))
    visited.load.compared = Comparison("a", "b", (Difference("login", "p95", 0.02, 0.03, 0.008, 0.012, "real"),))
    page = await visited.page("load", before=earlier.run, after=done.run)
    assert "Slower in the second run: login (p95)." in page
    assert 'id="overlay"' in page


async def test_the_service_stands_beside_the_run_second_by_second(visited: Served) -> None:
    """The stream carries the run's columns as far as it went, and the service's figures of the same seconds."""
    await post(visited, "/console/load/start", scenario="smoke")
    visited.load.seconds = LoadColumns(NOW - 2, (0.0, 1.0, 2.0), *[(1.0, 2.0, None)] * 7)
    found: dict[str, Any] = {}
    async with asyncio.timeout(30), visited.client.stream("GET", "/console/events?page=load") as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                found = json.loads(line[5:])["data"]["run"]
                break
    assert found["at"] == [NOW - 1, NOW]
    assert found["completed"] == [1.0, 2.0]
    assert found["service_p95"] == [0.1235, 0.1235]
