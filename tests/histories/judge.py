"""The promises of logout and of profile changes as one exact rule, applied in one pass.

Calls overlap, so what is judged is what real time alone settles: a call that was answered before another began came
before it. One pass over the beginnings and ends of all calls, in the order of time, decides for each answer whether

- a session was good to anybody who asked after its end was answered, or after it had run out;
- a profile was older than one whose change was answered before the read began;
- a session was refused that nobody had begun to end and that had not run out.

A change that is answered with "pending" binds the worker that said so at once (it believes no cache until the cache has
been told), and all workers once everything pending is known to be done ("finish").
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from histories.calls import Call, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ENDS_MANY = {"others", "password", "disable"}
ENDS = {"logout", "revoke", *ENDS_MANY}
ACCEPTED = {Outcome.DONE, Outcome.NOTHING, Outcome.PENDING}


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken promise: which, by which call, and the call that had settled it."""

    what: str
    call: Call
    settled: Call | None = None


@dataclass(slots=True)
class _Session:
    login: Call
    over: Call | None = None
    over_at: dict[int, Call] = field(default_factory=dict)
    """Over to one worker, which could not tell the cache."""
    threatened: bool = False
    """Whether somebody has begun to end it."""
    noted: set[int] = field(default_factory=set)
    maybe_noted: set[int] = field(default_factory=set)
    """Workers that surely, or perhaps, have its last sight to write."""
    extended: bool = False
    maybe_extended: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was settled when a call began."""

    over: Call | None
    newest: Call | None
    extended: bool
    shut: bool
    unsettled: int
    moves: int
    password: int


class Judge:
    """Follows one history. Feed it everything through ``of``."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = calls
        self.findings: list[Finding] = []
        self._sessions: dict[int, _Session] = {}
        self._written = {
            call.version: call for call in calls if call.what == "update" and call.outcome is not Outcome.REFUSED
        }
        self._newest: Call | None = None
        self._newest_at: dict[int, Call] = {}
        self._pending: list[Call] = []
        self._sweeping: set[int] = set()
        """Calls under way, or lost, that end many sessions: one that is opened meanwhile may end with the others."""
        self._asked: dict[int, _Asked] = {}
        self._candidates: dict[int, list[_Session]] = defaultdict(list)
        self._shut = False
        self._moves = 0
        self._unsettled = 0
        self._password = 0

    @classmethod
    def of(cls, calls: Iterable[Call]) -> list[Finding]:
        """Judge a whole history."""
        judge = cls(tuple(calls))
        points = [(call.began, 0, place) for place, call in enumerate(judge._calls)]
        points += [(call.ended, 1, place) for place, call in enumerate(judge._calls)]
        # At one and the same moment nothing is settled, so beginnings come first.
        for _, ends, place in sorted(points):
            (judge._end if ends else judge._begin)(place, judge._calls[place])
        return judge.findings

    def _begin(self, place: int, call: Call) -> None:
        if call.what == "login" and call.outcome is Outcome.DONE and call.session is not None:
            self._sessions[call.session] = _Session(call, threatened=bool(self._sweeping))
        session = self._session(call)
        newest = max(
            (each for each in (self._newest, self._newest_at.get(call.worker)) if each),
            key=lambda each: each.began,
            default=None,
        )
        self._asked[place] = _Asked(
            (session.over or session.over_at.get(call.worker)) if session else None,
            newest,
            session.extended if session else False,
            self._shut,
            self._unsettled,
            self._moves,
            self._password,
        )
        if session and _accepted(call):
            session.maybe_noted.add(call.worker)
        if call.what in ENDS and call.outcome in {Outcome.DONE, Outcome.PENDING, Outcome.UNKNOWN}:
            for each in self._aimed_at(call):
                each.threatened = True
            if call.what in ENDS_MANY:
                self._sweeping.add(place)
        if call.what in {"password", "disable", "enable"} and call.outcome is not Outcome.REFUSED:
            self._unsettled += 1
            self._moves += 1
        if call.what == "disable":
            self._shut = True
        if call.what == "touch":
            self._begin_touch(place, call)

    def _begin_touch(self, place: int, call: Call) -> None:
        for each in self._sessions.values():
            if each.login.idle and call.began < each.login.ends:
                if call.worker in each.noted:
                    self._candidates[place].append(each)
                each.maybe_extended |= call.worker in each.maybe_noted
            each.noted.discard(call.worker)

    def _end(self, place: int, call: Call) -> None:
        asked = self._asked.pop(place)
        if call.what == "login":
            self._judge_login(call, asked)
        elif session := self._session(call):
            self._judge_token(call, asked, session)
        if call.what == "me" and call.outcome is Outcome.DONE:
            self._judge_profile(call, asked)
        if call.what == "touch" and call.outcome is Outcome.DONE:
            for each in self._candidates.pop(place, []):
                each.extended |= call.ended < each.login.ends
        if call.outcome is not Outcome.UNKNOWN:
            self._sweeping.discard(place)
            self._settle(call)

    def _settle(self, call: Call) -> None:
        if call.what in {"password", "disable", "enable"} and call.outcome is not Outcome.REFUSED:
            self._unsettled -= 1
            self._moves += 1
        if call.what == "password" and call.outcome in {Outcome.DONE, Outcome.PENDING}:
            self._password = call.password
        if call.what == "enable":
            self._shut = False
        if call.what == "finish" and call.outcome is Outcome.DONE:
            for pending in [each for each in self._pending if each.ended <= call.began]:
                self._pending.remove(pending)
                self._acknowledge(pending)
        elif call.outcome is Outcome.PENDING:
            self._pending.append(call)
            self._acknowledge(call, only=call.worker)
        elif call.outcome is Outcome.DONE or self._says_over(call):
            self._acknowledge(call)

    def _says_over(self, call: Call) -> bool:
        """Whether an answer that nothing was done says that a session is over: its row was looked for and is gone."""
        if call.what == "logout" and call.outcome is Outcome.REFUSED:
            session = self._session(call)
            return session is not None and session.threatened and not session.login.idle
        return call.what == "revoke" and call.outcome is Outcome.NOTHING

    def _acknowledge(self, call: Call, only: int | None = None) -> None:
        if call.what in ENDS:
            for each in self._ended_by(call):
                if only is None:
                    each.over = each.over or call
                else:
                    each.over_at.setdefault(only, call)
        if call.what == "update":
            known = self._newest if only is None else self._newest_at.get(only)
            newest = call if known is None or call.began > known.began else known
            if only is None:
                self._newest = newest
            else:
                self._newest_at[only] = newest

    def _judge_token(self, call: Call, asked: _Asked, session: _Session) -> None:
        login = session.login
        if _accepted(call):
            if asked.over:
                late = (call.began - asked.over.ended) * 1000
                self._find(
                    f"a {call.what} that began {late:.3f} ms after {asked.over.what} succeeded", call, asked.over
                )
            elif call.began > login.ends and not session.maybe_extended:
                late = (call.began - login.ends) * 1000
                self._find(f"a {call.what} that began {late:.3f} ms after the session ran out succeeded", call, login)
            session.noted.add(call.worker)
        elif call.outcome is Outcome.REFUSED:
            lasting = asked.extended or call.ended < login.ends
            if lasting and not session.threatened and login.ended <= call.began:
                self._find(f"a {call.what} of a session that nobody ended was refused", call, login)

    def _judge_profile(self, call: Call, asked: _Asked) -> None:
        got = self._written.get(call.version)
        if call.version and (got is None or got.began > call.ended):
            self._find(f"a read got version {call.version}, which nobody had written", call)
        elif asked.newest and asked.newest.began > self._written_by(got):
            self._find(
                f"a read got version {call.version} after {asked.newest.version} was answered", call, asked.newest
            )

    @staticmethod
    def _written_by(update: Call | None) -> float:
        """Tell when a version was in the database for certain; that of a new account always was."""
        if update is None:
            return float("-inf")
        return float("inf") if update.outcome is Outcome.UNKNOWN else update.ended

    def _judge_login(self, call: Call, asked: _Asked) -> None:
        certain = not asked.unsettled and asked.moves == self._moves
        if not certain:
            return
        good = not asked.shut and call.password == asked.password
        if call.outcome is Outcome.DONE and not good:
            self._find("a login succeeded to a disabled account or with an old password", call)
        if call.outcome is Outcome.REFUSED and good:
            self._find("a login with the right password was refused", call)

    def _aimed_at(self, call: Call) -> list[_Session]:
        """Sessions that a call might end, of those that are open or being opened."""
        if call.what in ENDS_MANY:
            return [each for number, each in self._sessions.items() if number != call.session]
        aim = call.session if call.what == "logout" else call.target
        return [self._sessions[aim]] if aim in self._sessions else []

    def _ended_by(self, call: Call) -> list[_Session]:
        """Sessions that are over for certain once a call is answered."""
        aimed = self._aimed_at(call)
        if call.what == "others":
            return [each for each in aimed if each.login.ended < call.began]
        if call.what == "password":
            return [each for each in aimed if each.login.password < call.password]
        if call.what == "disable" and call.outcome is Outcome.PENDING:
            # It looks for sessions that were being opened only once caches have been told of the others.
            return [each for each in aimed if each.login.ended < call.began]
        return [each for each in aimed if each.login.began < call.ended]

    def _session(self, call: Call) -> _Session | None:
        return self._sessions.get(call.session) if call.session is not None and call.what != "login" else None

    def _find(self, what: str, call: Call, settled: Call | None = None) -> None:
        self.findings.append(Finding(what, call, settled))


def _accepted(call: Call) -> bool:
    # A logout is answered "pending" also when there is no such session but caches cannot be told so.
    return call.outcome in ACCEPTED and (call.what, call.outcome) != ("logout", Outcome.PENDING)
