"""What a scenario says: a load plan as values, checked as a whole when it is made."""

from __future__ import annotations

import hashlib
import math
from typing import Annotated, Any, Literal

import msgspec

from loadgen.journeys import STEPS
from loadgen.requests import check_requests

MOST_USERS = 20_000
MOST_RATE = 6_000_000
MOST_SECONDS = 7 * 86_400
MOST_PROCESSES = 64

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,23}$")]
_Word = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
_Users = Annotated[int, msgspec.Meta(ge=1, le=MOST_USERS)]
_Rate = Annotated[float, msgspec.Meta(ge=0, le=MOST_RATE)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=MOST_SECONDS)]
_Timeout = Annotated[float, msgspec.Meta(gt=0, le=30)]  # twice this must fit the histogram, which ends at 64 s
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Weight = Annotated[int, msgspec.Meta(ge=0, le=1000)]
_Growth = Annotated[float, msgspec.Meta(ge=0)]
_Status = Annotated[int, msgspec.Meta(ge=200, le=599)]

Shape = Literal["open", "journeys", "closed"]
"""``open``: requests fall due at a rate, whatever the answers do. ``journeys``: journeys begin at a rate, and each one's
steps follow its answers. ``closed``: a fixed number of users, each of whom thinks after an answer and asks again."""


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A stretch of time over which rate and users move evenly to what it names; what it does not name stays."""

    seconds: _Seconds
    rate_per_minute: _Rate | None = None
    users: _Users | None = None


class Think(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long a user waits between an answer and the next request: always ``mean_s``, or spread around it."""

    mean_s: Annotated[float, msgspec.Meta(ge=0, le=3600)]
    spread: Literal["none", "even", "exponential"] = "exponential"


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seconds that the phases of a request may take; one that is not given may take the whole ``timeout_s``."""

    connect_s: _Timeout | None = None
    send_s: _Timeout | None = None
    first_byte_s: _Timeout | None = None


class StopRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ends a run early, as a FAIL, when a figure of the last ``for_s`` seconds is above a bound."""

    figure: Literal["error_rate", "server_errors", "p95_ms"]
    above: Annotated[float, msgspec.Meta(ge=0)]
    for_s: Annotated[float, msgspec.Meta(ge=1, le=600)] = 10.0


class Steady(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much the service's figures may grow in an hour, once it has settled for this share of the run; MB are 2**20 bytes."""

    settle: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.1
    memory_mb_per_hour: _Growth | None = None
    open_files_per_hour: _Growth | None = None
    tasks_per_hour: _Growth | None = None
    pool_waiting_per_hour: _Growth | None = None


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A request to somebody's own service.

    ``{name}`` in the path, a header or a string of the body stands for a value: captured from an answer, of ``[data]``, or
    ``user`` (number), ``run``, ``n`` (number of the request). ``route`` names it in targets and reports. ``capture`` takes
    values from an answer: a JSON pointer (RFC 6901), or ``header:NAME``.
    """

    method: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{1,16}$")] = "GET"
    path: Annotated[str, msgspec.Meta(pattern=r"^/")]
    route: str = ""
    headers: dict[str, str] = {}
    json: Any = None
    text: str | None = None
    expect: tuple[_Status, ...] = (200,)
    capture: dict[_Word, str] = {}


class JourneyPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way through the service: its steps in order, and how often it is taken beside the others."""

    steps: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=1000)]
    weight: _Weight = 1


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A load plan.

    ``users`` is how many virtual users there are (at first, with stages) and ``connections`` how many requests may be in
    flight, as many as users when 0; ``rate_per_minute`` counts requests, in journeys too; ``timeout_s`` is how many seconds a
    request may wait to be sent, and then again how many it may take; ``mix`` is each step's share of a block of requests;
    ``sampled`` is the share of requests whose traceparent asks the service to keep the trace; ``steady`` bounds what the service
    itself may grow by. With stages, ``seconds`` is their sum.
    """

    name: Name
    about: str = ""
    shape: Shape = "open"
    arrivals: Literal["constant", "poisson"] = "constant"
    users: _Users
    connections: Annotated[int, msgspec.Meta(ge=0, le=MOST_USERS)] = 0
    processes: Annotated[int, msgspec.Meta(ge=1, le=MOST_PROCESSES)] = 1
    rate_per_minute: _Rate = 0.0
    seconds: _Seconds | None = None
    timeout_s: _Timeout = 10.0
    timeouts: Timeouts = Timeouts()
    allowed_error_rate: _Share = 0.01
    allowed_server_errors: Annotated[int, msgspec.Meta(ge=0)] | None = None
    seed: int = 1
    sampled: _Share = 0.0
    mix: dict[str, _Weight] = {}
    think: Think = Think(mean_s=0.0, spread="none")
    stage: tuple[Stage, ...] = ()
    stop: tuple[StopRule, ...] = ()
    steady: Steady | None = None
    journey: tuple[JourneyPlan, ...] = ()
    request: dict[_Word, Request] = {}
    prepare: tuple[str, ...] = ()
    data: dict[_Word, tuple[str, ...]] = {}

    def __post_init__(self) -> None:
        """Refuse what the types alone cannot."""
        numbers = (self.rate_per_minute, self.seconds or 0.0, self.timeout_s, self.think.mean_s)
        if not all(map(math.isfinite, numbers)):
            raise ValueError("rate_per_minute, seconds, timeout_s and mean_s must be finite numbers")
        self._check_time()
        self._check_shape()
        self._check_steps()

    def _check_time(self) -> None:
        if self.stage and self.seconds is not None and self.seconds != sum(stage.seconds for stage in self.stage):
            raise ValueError("seconds: the stages say how long it takes; leave seconds out")
        if not self.stage and self.seconds is None:
            raise ValueError("seconds: missing, and there are no stages that would say it")
        if sum(stage.seconds for stage in self.stage) > MOST_SECONDS:
            raise ValueError(f"stage: all of them together may take {MOST_SECONDS:,} s at most")

    def _check_shape(self) -> None:
        rates = [self.rate_per_minute, *(stage.rate_per_minute or 0.0 for stage in self.stage)]
        if self.shape == "closed" and any(rates):
            raise ValueError("rate_per_minute: a closed scenario has users who think, and no rate")
        if self.shape != "closed" and not any(rates):
            raise ValueError("rate_per_minute: missing; it must be above 0 at some time")
        if self.shape == "open" and self.think.mean_s:
            raise ValueError("think: in an open scenario requests come at a rate, and nobody thinks")
        if self.shape == "closed" and self.arrivals != "constant":
            raise ValueError("arrivals: a closed scenario has none")
        if (self.shape == "journeys") != bool(self.journey):
            raise ValueError("journey: shape = 'journeys' and [[journey]] belong together")
        if bool(self.mix) == bool(self.journey):
            raise ValueError("mix: at least one step needs a share above 0; with journeys there is no mix")
        if self.connections > self.most_users:
            raise ValueError("connections: more than users, so that some would never be used")
        if self.processes > (self.connections or self.users):
            raise ValueError("processes: each one needs a user and a connection")

        users = [self.users, *(stage.users for stage in self.stage if stage.users)]
        if users != sorted(users):
            raise ValueError("stage: users join, and do not leave; their number may only grow")

    def _check_steps(self) -> None:
        known = self.request or STEPS
        if unknown := sorted((set(self.steps) | set(self.prepare)) - set(known)):
            raise ValueError(f"mix: unknown step {unknown[0]!r}; the steps are {', '.join(known)}")
        if not self.steps:
            raise ValueError("mix: at least one step needs a share above 0")
        if not self.request and (self.prepare or self.data):
            raise ValueError("prepare, data: they belong to requests of your own, [request.NAME]")
        if any(not values for values in self.data.values()):
            raise ValueError("data: a list may not be empty")
        if not self.request and self.mix.get("logout", 0) > self.mix.get("login", 0):
            raise ValueError("mix: logout may not exceed login, or the sessions to end would run out")
        check_requests(self)

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps that it sends, in the order in which they are first named."""
        named = [step for step, share in self.mix.items() if share]
        named += [step for journey in self.journey if journey.weight for step in journey.steps]
        return tuple(dict.fromkeys(named))

    @property
    def length(self) -> float:
        """Seconds from the first request's time to the end of the plan."""
        return sum(stage.seconds for stage in self.stage) if self.stage else self.seconds or 0.0

    @property
    def most_users(self) -> int:
        """How many users there are when there are most."""
        return max(self.users, *(stage.users or 0 for stage in self.stage)) if self.stage else self.users

    @property
    def most_rate(self) -> float:
        """The highest rate, in requests a minute."""
        return max(self.rate_per_minute, *(stage.rate_per_minute or 0 for stage in self.stage), 0.0)

    @property
    def requests(self) -> int:
        """How many requests an open plan sends, on average if arrivals are random; 0 for a closed one, which has no plan."""
        return max(1, round(self._planned())) if self.shape != "closed" else 0

    @property
    def summary(self) -> str:
        """The plan in a few words, as "100 users, 1,000 req/min, 5 min"."""
        users = _between(self.users, self.most_users)
        rates = [self.rate_per_minute, self.most_rate]
        pace = f"{self.think.mean_s:g} s to think" if self.shape == "closed" else f"{_between(*rates)} req/min"
        return f"{users} users, {pace}, {_span(self.length)}"

    @property
    def hash(self) -> str:
        """Twelve digits that two scenarios share when they ask for the same load."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:12]

    def _planned(self) -> float:
        if not self.stage:
            return self.rate_per_minute * self.length / 60
        planned, before = 0.0, self.rate_per_minute
        for stage in self.stage:
            after = before if stage.rate_per_minute is None else stage.rate_per_minute
            planned += (before + after) / 2 * stage.seconds / 60
            before = after
        return planned


def _between(least: float, most: float) -> str:
    return f"{most:,.10g}" if least == most else f"{least:,.10g} to {most:,.10g}"


def _span(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
