"""The rule by which histories are judged: what is wrong is found, and nothing else is."""

from __future__ import annotations

import pytest
from histories.calls import Call, Outcome
from histories.judge import Judge
from histories.plan import plan, rush

REFUSED, NOTHING, PENDING = Outcome.REFUSED, Outcome.NOTHING, Outcome.PENDING


def login(session: int = 0, at: float = 0.0, **more: float) -> Call:
    """Open a session in an instant."""
    return Call("login", 0, at, at, session=session, **more)  # type: ignore[arg-type] # ends, password


def check(began: float, ended: float, outcome: Outcome = Outcome.DONE, session: int = 0, worker: int = 0) -> Call:
    """Ask whether a session is good."""
    return Call("check", worker, began, ended, outcome, session)


def me(began: float, version: int, worker: int = 0) -> Call:
    """Read a profile."""
    return Call("me", worker, began, began + 1, session=0, version=version)


def update(began: float, ended: float, version: int, outcome: Outcome = Outcome.DONE) -> Call:
    """Write a profile."""
    return Call("update", 0, began, ended, outcome, 0, version=version)


def end(
    what: str, began: float, ended: float, outcome: Outcome = Outcome.DONE, session: int = 0, target: int = 0
) -> Call:
    """End sessions."""
    return Call(what, 0, began, ended, outcome, session, target, password=1)


FINE = {
    "a check that overlaps a logout": [login(), end("logout", 2, 5), check(1, 3), check(4, 6), check(6, 7, REFUSED)],
    "refused while a logout is under way": [login(), end("logout", 2, 5), check(3, 4, REFUSED)],
    "an old version while a change is under way": [login(), update(1, 4, 1), me(2, 0), me(3, 1), me(4, 1)],
    "either of two changes at once": [login(), update(1, 4, 1), update(2, 3, 2), me(5, 1), me(6, 2)],
    "pending elsewhere": [login(), update(1, 2, 1, PENDING), me(3, 0, worker=1), me(4, 1)],
    "a session opened during a change of others": [login(), login(1, 2), end("others", 1, 3), check(4, 5, session=1)],
    "the changer's own session": [login(), end("password", 1, 2), check(3, 4)],
    "run out": [login(ends=5.0), check(1, 2), check(4, 6), check(4.5, 6, REFUSED), check(6, 7, REFUSED)],
    "used in time and written in time": [
        login(ends=9.0, idle=True), check(1, 2), Call("touch", 0, 3, 4), check(10, 11),
    ],
}  # fmt: skip
WRONG = {
    "success after logout": [login(), end("logout", 2, 5), check(5.1, 6)],
    "success after revocation": [login(), login(1), end("revoke", 1, 2, target=1), check(3, 4, session=1)],
    "success after being told that it is over": [
        login(), login(1), end("revoke", 1, 9, target=1), end("revoke", 2, 3, NOTHING, target=1), check(4, 5, session=1),
    ],
    "success after a change of password": [login(), login(1), end("password", 1, 2), check(3, 4, session=1)],
    "success after the account was disabled": [login(), Call("disable", 0, 1, 2), check(3, 4)],
    "success after it had run out": [login(ends=5.0), check(5.1, 6)],
    "success though it was idle": [login(ends=5.0, idle=True), check(1, 2), check(6, 7)],
    "success where the logout is pending": [login(), login(1), end("revoke", 1, 2, PENDING, target=1), check(3, 4, session=1)],
    "success once what was pending is done": [
        login(), login(1), end("revoke", 1, 2, PENDING, target=1), Call("finish", 0, 3, 4), check(5, 6, session=1, worker=1),
    ],
    "refused for nothing": [login(), check(1, 2, REFUSED)],
    "refused before it runs out": [login(ends=5.0), check(1, 4, REFUSED)],
    "refused though used in time": [
        login(ends=9.0, idle=True), check(1, 2), Call("touch", 0, 3, 4), check(10, 11, REFUSED),
    ],
    "an old version": [login(), update(1, 2, 1), me(3, 0)],
    "the older of two": [login(), update(1, 2, 1), update(3, 4, 2), me(5, 1)],
    "a version that nobody wrote": [login(), me(3, 7)],
    "a version that was refused": [login(), Call("update", 0, 1, 2, REFUSED, 1, version=1), me(3, 1)],
    "login to a disabled account": [login(), Call("disable", 0, 1, 2), login(1, 3)],
    "login with an old password": [login(), end("password", 1, 2), login(1, 3)],
    "login refused for nothing": [login(), Call("login", 0, 1, 2, REFUSED, 1)],
}  # fmt: skip


@pytest.mark.parametrize("calls", FINE.values(), ids=FINE.keys())
def test_what_may_happen_is_let_pass(calls: list[Call]) -> None:
    """Where calls overlap, either answer is right."""
    assert Judge.of(calls) == []


@pytest.mark.parametrize("calls", WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_found(calls: list[Call]) -> None:
    """Each broken promise is found once, whatever the order in which the calls are told."""
    assert len(Judge.of(calls)) == 1
    assert len(Judge.of(reversed(calls))) == 1


def test_a_plan_is_made_of_its_seed_and_gets_shorter() -> None:
    """The same seed makes the same plan, and every shorter plan has fewer steps."""
    assert plan(7) == plan(7) != plan(8)
    assert rush(7).steps > 0
    assert all(shorter.steps < plan(7).steps for shorter in plan(7).shorter())
