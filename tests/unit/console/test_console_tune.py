"""Changing settings from the console, taking changes back, and trying them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from console.ports import LoadChanges, LoadRun, ScenarioCard
from console.tuning import Comparison, Difference, LiveSetting, Moved, Trial
from observability.model import KeptTrace
from observability.read.detail import TraceList

if TYPE_CHECKING:
    import httpx
    from unit.console.conftest import Served

POOL = LiveSetting(
    "pool_size", "Database", "Pool size", "Connections.", "integer", "20", "20", 1, 80, "connections", "POOL_SIZE"
)
CACHE = LiveSetting("cache", "Cache", "Sessions cached", "Or not.", "switch", "on", "on", None, None, "", "CACHE")
AFTER = LoadRun("after", "tune", "done", 1000.0, 60, 60, 10, 10, 10, 0, 1.0)
DONE = Trial(
    "trial-1",
    "done",
    990.0,
    (("pool_size", "20", "1"),),
    "before",
    "after",
    1.0,
    "GET /auth/me p95 rose from 2 to 40 ms; it waits for a database connection.",
    Comparison("before", "after", (Difference("me", "p95", 0.002, 0.040, 0.036, 0.039, "real"),)),
    (Moved("GET", "/auth/me", "pool_wait", 0.0001, 0.038), Moved("GET", "/auth/me", "redis", 0.002, 0.001)),
)


def kept(trace_id: str, pool_wait: float) -> KeptTrace:
    """Make a request that waited so long for a connection."""
    parts = (0.0, 0.0, 0.0, pool_wait, 0.001, 0.0)
    return KeptTrace(1, trace_id, "s", "", "GET", "/auth/me", 200, "", "slow", 1010.0, pool_wait + 0.002, parts)


@pytest.fixture
async def tuned(visited: Served) -> Served:
    """Give a console with two settings, a client that is logged in."""
    visited.settings.shown = [POOL, CACHE]
    return visited


async def post(served: Served, path: str, fields: dict[str, str], *, script: bool = True) -> httpx.Response:
    """Send one of the page's forms, as its script or a browser would."""
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', await served.page("tune"))
    assert found is not None
    headers = {"accept": "application/json"} if script else {}
    return await served.client.post(f"/console/tune/{path}", data={"form_token": found[1]} | fields, headers=headers)


async def test_settings_are_shown_with_bounds_and_what_a_restart_brings_back(tuned: Served) -> None:
    """Each setting stands in its group, with its value, unit and bounds, and the variable that keeps it."""
    tuned.settings.shown = [msgspec.structs.replace(POOL, value="8"), CACHE]
    page = await tuned.page("tune")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert 'name="to-pool_size" value="8"' in page
    assert "Database Pool size changed Connections. 1 to 80 connections" in text
    assert "a restart brings back 20 connections ; for good: POOL_SIZE" in text
    assert "<option selected>on</option>" in page


async def test_a_change_is_made_without_a_script_and_taken_back_by_a_click(tuned: Served) -> None:
    """The form alone changes what is ticked, and nothing that is not; the log's button takes it back."""
    fields = {"tick-pool_size": "1", "to-pool_size": "1", "to-cache": "off"}
    answer = await post(tuned, "change", fields, script=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/tune")
    assert [setting.value for setting in tuned.settings.shown] == ["1", "on"]
    assert 'name="number" value="1"' in await tuned.page("tune")
    answer = await post(tuned, "undo", {"number": "1"})
    assert answer.json() == {"undone": 1}
    assert tuned.settings.shown[0].value == "20"
    assert "taken back" in await tuned.page("tune")


async def test_without_a_tick_what_was_written_otherwise_is_changed(tuned: Served) -> None:
    """Whoever has no script need not tick; nothing written otherwise is nothing to do."""
    answer = await post(tuned, "change", {"to-pool_size": "20", "to-cache": "off"})
    assert answer.json() == {"changed": ["cache"]}
    answer = await post(tuned, "change", {"to-pool_size": "20", "to-cache": "off"})
    assert (answer.status_code, "Nothing is to be changed" in answer.text) == (409, True)


async def test_a_refusal_stands_beside_its_field_and_what_was_written_stays(tuned: Served) -> None:
    """A refused value is shown again, with the sentence under it."""
    tuned.settings.refused = "Pool size must be a whole number from 1 to 80 connections."
    fields = {"tick-pool_size": "1", "to-pool_size": "900"}
    answer = await post(tuned, "change", fields, script=False)
    assert answer.status_code == 409
    assert 'name="to-pool_size" value="900"' in answer.text
    assert re.search(rf'id="tune-pool_size-notice" role="alert">{tuned.settings.refused}<', answer.text)
    told = (await post(tuned, "change", fields)).json()
    assert told == {"message": tuned.settings.refused, "field": "pool_size"}
    answer = await post(tuned, "undo", {"number": "7"})
    assert answer.json() == {"message": "That change was taken back already."}


async def test_a_trial_is_started_with_its_load_and_stopped(tuned: Served) -> None:
    """What is ticked is tried, with runs as long as was asked for, within the scenario's bounds."""
    card = ScenarioCard("tune", "a minute", 60, 50, 4000, 5000, 120_000, 3600)
    tuned.load.cards = (card,)
    fields = {"tick-pool_size": "1", "to-pool_size": "1"}
    answer = await post(tuned, "try", {"seconds": "12", "rate": "6000", **fields})
    assert answer.json() == {"trial": "trial-1"}
    assert tuned.trials.asked == [(("pool_size", "1"),)]
    assert tuned.trials.loads == [LoadChanges(rate_per_minute=6000.0, seconds=12.0)]
    told = (await post(tuned, "try", {"seconds": "90000", **fields})).json()
    assert told == {"message": "Seconds must be a number from 1 to 3,600.", "field": "seconds"}
    tuned.trials.shown = [msgspec.structs.replace(DONE, state="after", progress=0.6)]
    page = await tuned.page("tune")
    assert 'value="0.6"' in page
    assert 'form="tune-stop" name="trial" value="trial-1"' in page
    assert (await post(tuned, "stop", {"trial": "trial-1"})).json() == {"trial": "trial-1"}
    assert (await post(tuned, "stop", {"trial": "other"})).json() == {"message": "That trial is over."}


async def test_what_came_of_a_trial_leads_to_a_request_that_shows_it(tuned: Served) -> None:
    """The words stand on top, then what moved, each part that grew with the request that spent most on it."""
    tuned.trials.shown = [DONE]
    tuned.load.going = [AFTER]
    tuned.feed.traces_shown = TraceList((kept("a" * 32, 0.010), kept("b" * 32, 0.044)))
    page = await tuned.page("tune")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "Tried: Pool size 20 to 1" in text
    assert DONE.words in text
    assert "GET /auth/me Wait for a connection 100 µs 38.0 ms" in text
    assert "me p95 2.00 ms 40.0 ms +38.0 ms" in text
    assert re.findall(r'href="/console/trace/(\w+)', page) == ["b" * 32]
    assert (tuned.feed.wanted[-1].since, tuned.feed.wanted[-1].until) == (1000.0, 1060.0)
