"""One user's history, played on the workers and written down."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from histories.calls import NEVER, Call, Outcome, moment, now, seconds
from histories.plan import ABSOLUTE, IDLE, LASTING, Opening, Plan, Step

from app.errors import (
    CacheUnavailable,
    CredentialsRejected,
    InvalidationPending,
    InvalidFields,
    NotAuthenticated,
    NotFound,
    Unavailable,
)
from app.listings import Page
from app.security.tokens import Token, issue, parse
from app.services.presence import GRAIN
from app.values import Login, ProfileChange, Session, User

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from app.repositories.users import Users
    from app.server import Parts
    from app.services.ports import Stored
    from app.services.sessions import SessionService
    from app.storage.cache import Cache

IDLE_SECONDS = 60
"""What the workers are set to: a session is over when it was last seen so long ago and the grain of sights longer."""

ANSWERS: dict[type[Exception], Outcome] = {
    NotAuthenticated: Outcome.REFUSED,
    CredentialsRejected: Outcome.REFUSED,
    NotFound: Outcome.NOTHING,
    InvalidFields: Outcome.NOTHING,
    InvalidationPending: Outcome.PENDING,
    Unavailable: Outcome.UNKNOWN,
}


class History:
    """A user and what they have; ``calls`` is what was asked and answered."""

    def __init__(self, plan: Plan, workers: Sequence[Parts], admins: Sequence[Users]) -> None:
        self.plan = plan
        self.calls: list[Call] = []
        self.user_id = uuid.UUID(int=0)
        self._workers = workers
        self._admins = admins
        self._email = f"{plan.seed}.{uuid.uuid4().hex}@load.invalid"
        self._tokens: dict[int, tuple[Token, uuid.UUID]] = {}
        self._password = 0

    @property
    def digests(self) -> list[bytes]:
        """What the sessions are cached by."""
        return [token.digest for token, _ in self._tokens.values()]

    async def begin(self) -> None:
        """Register the user and open the sessions that are there from the beginning."""
        user = await self._workers[0].services.accounts.register(self._email, _password(0), None)
        self.user_id = user.id
        for number, opening in enumerate(self.plan.openings):
            await self._open(number, opening)

    async def act(self, steps: Sequence[Step], trouble: Callable[[History, Step], Awaitable[None]]) -> None:
        """Do one actor's steps; what is not a request is ``trouble``."""
        for step in steps:
            await asyncio.sleep(step.wait)
            if {step.session, step.target} - {None} <= self._tokens.keys():  # else it was never opened
                await (trouble(self, step) if step.is_trouble else self._do(step))

    async def look(self) -> None:
        """See what has become of each session on each worker, before and after what is pending is done."""
        for parts in self._workers:
            await _until_believed(parts.cache)
        await self._read_all()
        if any(call.outcome is Outcome.PENDING for call in self.calls):
            await self._finish()
            await self._read_all()

    async def _read_all(self) -> None:
        for session in self._tokens:
            for worker in range(len(self._workers)):
                await self._do(Step("check", 0, worker, session))
                await self._do(Step("me", 0, worker, session))

    async def _open(self, number: int, opening: Opening) -> None:
        _, token = issue(self.user_id)
        began = seconds()
        ends = NEVER if opening.kind == LASTING else round(began + opening.lasts, 6)
        created = moment(ends) - timedelta(seconds=IDLE_SECONDS) - GRAIN if opening.kind == IDLE else now()
        expires = moment(ends) if opening.kind == ABSOLUTE else created + timedelta(days=1)
        opened = await self._workers[0].sessions.store.open(self.user_id, token.digest, created, expires)
        assert opened is not None
        self._tokens[number] = (token, opened)
        self.calls.append(Call("login", 0, began, seconds(), session=number, ends=ends, idle=opening.kind == IDLE))

    async def _finish(self) -> None:
        while True:
            began = seconds()
            try:
                await self._workers[0].invalidations.finish_all()
            except Unavailable:
                await asyncio.sleep(0.02)
            else:
                self.calls.append(Call("finish", 0, began, seconds()))
                return

    async def _do(self, step: Step) -> None:
        password = self._password if step.what == "login" else step.number
        session = step.number if step.what == "login" else step.session
        version = step.number
        began, outcome = seconds(), Outcome.DONE
        try:
            answer = await self._ask(step)
        except tuple(ANSWERS) as error:
            outcome = next(outcome for kind, outcome in ANSWERS.items() if isinstance(error, kind))
        else:
            if isinstance(answer, User):
                version = int(answer.profile.name or 0)
            if isinstance(answer, Login) and (opened := parse(answer.token)):
                self._tokens[step.number] = (opened, answer.session_id)
        call = Call(step.what, step.worker, began, seconds(), outcome, session, step.target, version, password)
        if step.what == "password" and outcome in {Outcome.DONE, Outcome.PENDING}:
            self._password = step.number
        self.calls.append(call)

    def _ask(self, step: Step) -> Awaitable[object]:
        services, admin = self._workers[step.worker].services, self._admins[step.worker]
        token, _ = self._tokens.get(-1 if step.session is None else step.session, _NOBODY)
        _, target = self._tokens.get(-1 if step.target is None else step.target, _NOBODY)
        known, chosen = _password(self._password), _password(step.number)
        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "check": lambda: _as_requests_do(services.sessions.check_at_once, services.sessions.check, token),
            "me": lambda: _as_requests_do(services.sessions.me_at_once, services.sessions.me, token),
            "sessions": lambda: services.devices.page(token, Page()),
            "update": lambda: services.profiles.update(token, ProfileChange(name=str(step.number))),
            "logout": lambda: services.sessions.logout(token),
            "revoke": lambda: services.devices.revoke(token, target),
            "others": lambda: services.devices.revoke_others(token),
            "password": lambda: services.passwords.change(token, known, chosen),
            "login": lambda: services.accounts.login(self._email, known),
            "disable": lambda: admin.disable(self._email, now()),
            "enable": lambda: admin.enable(self._email),
        }
        return ways[step.what]()


_NOBODY = (Token(uuid.UUID(int=0), b""), uuid.UUID(int=0))


async def _check(sessions: SessionService, token: Token, *, express: bool) -> Session:
    found, stored = await _glance(sessions.check_at_once, token) if express else (None, None)
    return found or await sessions.check(token, stored)


async def _me(sessions: SessionService, token: Token, *, express: bool) -> User:
    found, stored = await _glance(sessions.me_at_once, token) if express else (None, None)
    return found or await sessions.me(token, stored)


async def _glance(at_once: Callable[[Token, Callable[[Any, Stored | None], None]], None], token: Token) -> Any:
    answer: asyncio.Future[tuple[Any, Stored | None]] = asyncio.get_running_loop().create_future()
    at_once(token, lambda found, stored: answer.set_result((found, stored)))
    return await answer


async def _until_believed(cache: Cache) -> None:
    while True:
        with contextlib.suppress(CacheUnavailable):
            await cache.ping()
            if not cache.in_doubt.is_set():
                return
        await asyncio.sleep(0.02)


def _password(number: int) -> str:
    return f"a password, number {number}"


async def _as_requests_do(
    at_once: Callable[[Token, Callable[[object, Stored | None], None]], None],
    otherwise: Callable[[Token, Stored | None], Awaitable[object]],
    token: Token,
) -> object:
    """Ask where that is quick, and go on from what was seen there when it takes more."""
    seen: asyncio.Future[tuple[object, Stored | None]] = asyncio.get_running_loop().create_future()
    at_once(token, lambda found, stored: seen.set_result((found, stored)))
    found, stored = await seen
    return await otherwise(token, stored) if found is None else found
