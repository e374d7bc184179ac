"""Histories as data: what each actor is going to do, made up from a seed, so that one can be repeated and shortened."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WORKERS = 2
LASTING, ABSOLUTE, IDLE = "lasting", "absolute", "idle"
READS = ("check", "me", "check", "me", "sessions")
ENDINGS = ("logout", "logout", "revoke", "others", "password", "password", "disable", "login", "login")
OWN_TROUBLES = ("evict", "evict", "evict", "touch", "touch")
TROUBLES = (*OWN_TROUBLES, "flush", "starve")


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do after so many seconds of waiting."""

    what: str
    wait: float
    worker: int = -1
    session: int | None = None
    target: int | None = None
    number: int = 0
    """Of an update the version, of a password change the password, of a login the session it opens."""
    express: bool = False
    """Whether a check or a read first glances at the cache, as the express way does."""

    @property
    def is_trouble(self) -> bool:
        """Whether it is done to the stores, or by a worker on its own, and asked by nobody."""
        return self.what in TROUBLES

    def __str__(self) -> str:
        subject = "" if self.session is None else f" by session {self.session}"
        aim = "" if self.target is None else f" on session {self.target}"
        number = f" {self.number}" if self.number else ""
        return f"{self.what}{number}{subject}{aim} at worker {self.worker} after {self.wait * 1000:.1f} ms"


@dataclass(frozen=True, slots=True)
class Opening:
    """A session that is there from the beginning; ``lasts`` seconds unless it is lasting."""

    kind: str
    lasts: float


@dataclass(frozen=True, slots=True)
class Plan:
    """One user's history: sessions that are there from the beginning, and actors that run at the same time."""

    seed: int
    openings: tuple[Opening, ...]
    actors: tuple[tuple[Step, ...], ...]

    @property
    def steps(self) -> int:
        """How much there is to do."""
        return sum(len(actor) for actor in self.actors)

    def __str__(self) -> str:
        opened = ", ".join(f"{each.kind} ({each.lasts * 1000:.0f} ms)" for each in self.openings)
        actors = ["; ".join(map(str, actor)) for actor in self.actors]
        return "\n".join([f"sessions: {opened}", *(f"actor: {actor}" for actor in actors)])

    def shorter(self) -> Iterator[Plan]:
        """Yield plans with an actor, half of an actor's steps, or one step less, the boldest first."""
        for place, actor in enumerate(self.actors):
            before, after = self.actors[:place], self.actors[place + 1 :]
            yield replace(self, actors=before + after)
            half = len(actor) // 2
            cuts = [actor[half:], actor[:half]] if half else []
            if len(actor) <= 6:  # step by step only once there are few
                cuts += [actor[:at] + actor[at + 1 :] for at in range(len(actor))]
            for cut in filter(None, cuts):
                yield replace(self, actors=(*before, cut, *after))


def plan(seed: int, pace: float = 1.0) -> Plan:
    """Make up a history; its waits are as long as ``pace`` says. A slow one leaves what concerns everybody to a storm."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    openings = [Opening(LASTING, 0.0)] + [
        Opening(chance.choice((LASTING, ABSOLUTE, IDLE)), chance.uniform(0.01, 0.1) * pace)
        for _ in range(chance.randrange(4))
    ]
    sessions, ending = _ending(chance, len(openings), pace)
    troubles = OWN_TROUBLES if pace > 1 else TROUBLES
    trouble = tuple(
        Step(chance.choice(troubles), chance.random() * 0.02 * pace, chance.randrange(WORKERS))
        for _ in range(chance.randrange(5))
    )
    readers = [_reader(chance, READS, sessions, pace) for _ in range(6)]
    writers = _writers(chance, chance.randrange(1, 3), (1, 5), sessions, pace)
    return Plan(seed, tuple(openings), (*readers, *writers, ending, *([trouble] if trouble else [])))


def rush(seed: int, pace: float = 1.0) -> Plan:
    """Make up a history of one session that lasts and of many changes to its profile, where most readers meet writers."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    readers = [_reader(chance, ("me",), 1, pace) for _ in range(10)]
    return Plan(seed, (Opening(LASTING, 0.0),), (*readers, *_writers(chance, 4, (5, 10), 1, pace)))


def _reader(chance: random.Random, reads: Sequence[str], sessions: int, pace: float) -> tuple[Step, ...]:
    return tuple(
        Step(
            chance.choice(reads),
            chance.random() * 0.006 * pace,
            chance.randrange(WORKERS),
            session=chance.randrange(sessions),
            express=chance.random() < 0.5,
        )
        for _ in range(chance.randrange(5, 15))
    )


def _writers(
    chance: random.Random, count: int, changes: tuple[int, int], sessions: int, pace: float
) -> list[tuple[Step, ...]]:
    versions = iter(range(1, 100))
    return [
        tuple(
            Step(
                "update",
                chance.random() * 0.01 * pace,
                chance.randrange(WORKERS),
                chance.randrange(sessions),
                number=each,
            )
            for each in (next(versions) for _ in range(chance.randrange(*changes)))
        )
        for _ in range(count)
    ]


def _ending(chance: random.Random, sessions: int, pace: float) -> tuple[int, tuple[Step, ...]]:
    """Make up who ends what, and who logs in again; return also how many sessions there will have been."""
    steps: list[Step] = []
    passwords = 0
    for _ in range(chance.randrange(1, 5)):
        what = chance.choice(ENDINGS)
        wait, worker, session = chance.random() * 0.03 * pace, chance.randrange(WORKERS), chance.randrange(sessions)
        match what:
            case "revoke":
                steps.append(Step(what, wait, worker, session, target=chance.randrange(sessions)))
            case "password":
                passwords += 1
                steps.append(Step(what, wait, worker, session, number=passwords))
            case "login":
                steps.append(Step(what, wait, worker, number=sessions))
                sessions += 1
            case "disable":
                steps += [Step(what, wait, worker), Step("enable", wait, worker)]
            case _:
                steps.append(Step(what, wait, worker, session))
    return sessions, tuple(steps)
