"""The watch on a real Redis: one evaluation for the fleet, the same on every console, whoever comes and goes."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from observability.model import AlertRule, Slo
from observability.publish.stream import StreamPublisher
from observability.read.board import BOARD_KEY
from observability.read.store import FleetStore
from observability.read.watch import LEASE_KEY, LEASE_SECONDS, Watch
from observability.record import Recorder

if TYPE_CHECKING:
    from observability.read.view import View

SLO = Slo(
    alert=(
        AlertRule(name="errors", figure="error_rate", above=0.01, for_seconds=20),
        AlertRule(name="database-cpu", figure="database_cpu", above=0.8),
    ),
    fewest_samples=10,
)


class Fleet:
    """Two workers in this process, each with a recorder, a console's store and a watch, on a clock that a test moves."""

    def __init__(self, redis: Any) -> None:
        self.redis = redis
        self.now = 1_000_000.0
        self.recorders = [Recorder(instance=name, worker=name, clock=self.clock) for name in ("one", "two")]
        self.stores = [self._store() for _ in self.recorders]
        self.watches = [
            Watch(store, slo=SLO, worker=recorder.worker, clock=self.clock)
            for store, recorder in zip(self.stores, self.recorders, strict=True)
        ]
        self.publishers = [StreamPublisher(redis) for _ in self.recorders]
        for watch in self.watches:
            watch.connect(redis)

    def clock(self) -> float:
        """Return the time."""
        return self.now

    def _store(self) -> FleetStore:
        store = FleetStore(slo=SLO, clock=self.clock)
        store.connect(self.redis)
        return store

    async def pass_on(self, seconds: int, *, failing: bool, watching: tuple[int, ...] = (0, 1)) -> None:
        """Let time pass: requests each second, snapshots, and every five seconds an evaluation by those who watch."""
        for _ in range(seconds):
            self.now += 1
            for recorder, publisher, store in zip(self.recorders, self.publishers, self.stores, strict=True):
                for _ in range(5):
                    recorder.requests.record("GET", "/a", 500 if failing else 200, "", 0.01)
                await self.publish(publisher, recorder, store)
            if self.now % 5 == 0:
                for number in watching:
                    await self.watches[number].tick()

    async def publish(self, publisher: StreamPublisher, recorder: Recorder, store: FleetStore) -> None:
        """Send a snapshot as telemetry does, stamped with the test's own time."""
        taken = recorder.snapshot()
        store.hold(taken)
        await publisher.publish(taken)

    async def views(self) -> list[View]:
        """Return what each console shows, and a third that has just come."""
        self.now += 1
        return [await store.view() for store in (*self.stores, self._store())]


@pytest.fixture
def fleet(redis: Any, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Return a fleet whose consoles find entries by Redis's own clock, and their age by the test's."""
    # Ids of entries come from Redis's clock; reading from the beginning finds them whatever the test's clock says.
    monkeypatch.setattr("observability.read.follower._id_at", lambda _: b"0")
    return Fleet(redis)


async def test_every_console_shows_the_same_and_one_line_is_logged(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors pend, fire and are resolved; all consoles agree on the times, and each transition is one log line."""
    caplog.set_level(logging.WARNING)
    await fleet.pass_on(10, failing=False)
    await fleet.pass_on(15, failing=True)
    states = [[(a.state, a.since) for a in view.alerts] for view in await fleet.views()]
    assert states[0] == states[1] == states[2]
    assert states[0][0][0] == "pending"
    assert states[0][1][0] == "unknown"
    await fleet.pass_on(24, failing=True)
    views = await fleet.views()
    assert [view.firing for view in views] == [1, 1, 1]
    assert views[0].alerts == views[2].alerts
    assert "% of" in views[0].alerts[0].reason
    await fleet.pass_on(90, failing=False)
    view = (await fleet.views())[2]
    assert [(t.was, t.state) for t in reversed(view.transitions)] == [
        ("ok", "pending"),
        ("pending", "firing"),
        ("firing", "resolved"),
    ]
    assert [r.message.split(":")[0] for r in caplog.records if "alert errors" in r.message] == ["alert errors"] * 3


async def test_a_successor_goes_on(fleet: Fleet) -> None:
    """A watcher that is gone is replaced when its lease ends, and what was pending since then still is."""
    await fleet.pass_on(10, failing=True, watching=(0,))
    before = (await fleet.views())[1].alerts[0]
    await fleet.watches[1].tick()
    assert await fleet.redis.get(LEASE_KEY) == b"one"
    assert 0 < await fleet.redis.pttl(LEASE_KEY) <= LEASE_SECONDS * 1000
    await fleet.redis.delete(LEASE_KEY)  # as its time limit does
    await fleet.pass_on(5, failing=True, watching=(1,))
    assert await fleet.redis.get(LEASE_KEY) == b"two"
    after = (await fleet.views())[0].alerts[0]
    assert (after.state, after.since) == (before.state, before.since) == ("pending", before.since)
    await fleet.pass_on(10, failing=True, watching=(1,))
    assert (await fleet.views())[0].firing == 1


async def test_who_lost_the_lease_cannot_write(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A watcher that stood still while another took over changes nothing when it goes on, and tells of nothing."""
    await fleet.pass_on(15, failing=True, watching=(0,))
    look = fleet.stores[0].view
    written = []

    async def stand_still() -> View:
        seen = await look()
        await fleet.redis.delete(LEASE_KEY)
        await fleet.watches[1].tick()
        written.append(await fleet.redis.get(BOARD_KEY))
        fleet.now += 1
        return seen

    monkeypatch.setattr(fleet.stores[0], "view", stand_still)
    fleet.now += 10
    await fleet.watches[0].tick()
    assert await fleet.redis.get(LEASE_KEY) == b"two"
    assert [await fleet.redis.get(BOARD_KEY)] == written
    assert await fleet.redis.ttl(BOARD_KEY) > 0
    assert sum("firing" in record.message for record in caplog.records) == 1


async def test_a_board_that_redis_lost_is_written_again(fleet: Fleet) -> None:
    """A Redis that forgot everything is told the states as they were."""
    await fleet.pass_on(30, failing=True)
    fired = (await fleet.views())[0].alerts[0]
    await fleet.redis.flushall()
    await fleet.pass_on(14, failing=True)
    again = (await fleet.views())[2].alerts[0]
    assert (again.state, again.since) == (fired.state, fired.since)
    assert fired.state == "firing"


async def test_without_redis_each_worker_judges_itself(fleet: Fleet, redis_server: Any) -> None:
    """Redis killed: a worker's own alerts go on from its own figures, and the view says whose they are."""
    await fleet.pass_on(5, failing=False)
    os.kill(redis_server.pid, signal.SIGKILL)
    await fleet.pass_on(45, failing=True, watching=(0,))
    view = (await fleet.views())[0]
    assert (view.scope, view.firing) == ("worker", 1)
    assert "Redis" in view.reason


async def test_a_watch_that_stops_leaves_at_once(fleet: Fleet) -> None:
    """Stopping gives the lease up, so that nobody waits for it to end."""
    watch = fleet.watches[0]
    watch.start(fleet.redis)
    await fleet.pass_on(5, failing=False, watching=(0,))
    assert await fleet.redis.get(LEASE_KEY) == b"one"
    await watch.stop()
    assert await fleet.redis.get(LEASE_KEY) is None
