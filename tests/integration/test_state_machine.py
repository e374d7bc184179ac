"""The whole API against a model of it: whatever people do in whatever order, the service says what the model says.

Two workers share the stores, and the second lets only verified addresses in. Requests go to them in turn, time passes
when the machine says so, and the cache loses everything now and then. EXAMPLES= and STEPS= make it longer; then it
takes other ways each time.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from driving import World, driven
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from people import FIELDS, Login, Mailed, Person

from app.errors import EmailTaken, NotFound
from app.handlers.openapi_operations import OPERATIONS
from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from app.embedded import Server

EXAMPLES = int(os.environ.get("EXAMPLES", "30"))
STEPS = int(os.environ.get("STEPS", "40"))
ADDRESSES = tuple(f"{name}@example.org" for name in ("ann", "bob", "cat", "dan"))
NEED_A_SESSION = (
    ("GET", "/auth/check"), ("GET", "/auth/me"), ("POST", "/auth/logout"), ("POST", "/auth/password"), ("PUT", "/users/profile"),
    ("GET", "/auth/sessions"), ("DELETE", "/auth/sessions"), ("DELETE", f"/auth/sessions/{uuid4()}"), ("GET", "/users"),
)  # fmt: skip


class Api(RuleBasedStateMachine):
    """People who use the API, and a model that says what they must see."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.people: dict[str, Person] = {}
        self._words = (f"violet otter lantern {number}" for number in itertools.count())
        world.begin()

    @initialize()
    def somebody_is_there(self) -> None:
        """Begin with an administrator and a person who are logged in."""
        self.administrators_create(ADDRESSES[0], admin=True)
        self.register(ADDRESSES[1], "Bob")
        for email in ADDRESSES[:2]:
            self.log_in(self.people[email], worker=1, right=True)

    @rule(email=st.sampled_from(ADDRESSES), name=st.sampled_from((None, "Ann")))
    def register(self, email: str, name: str | None) -> None:
        """An address is registered once, however it is written, and its owner gets a token."""
        word = next(self._words)
        body = {"email": f" {email.upper()} ", "password": word} | ({"name": name} if name else {})
        answer = self.world.call("POST", "/auth/register", body=body)
        assert answer.status_code == (409 if email in self.people else 201), answer.text
        if email not in self.people:
            person = self.people[email] = Person(email, answer.json()["id"], word, {"name": name})
            assert self._as_shown(answer.json()) == person.shown()
            self._mail(person, "verify")

    @rule(email=st.sampled_from(ADDRESSES), admin=st.booleans())
    def administrators_create(self, email: str, *, admin: bool) -> None:
        """`user create` opens an account that is verified."""
        word = next(self._words)
        if email in self.people:
            with pytest.raises(EmailTaken):
                self.world.run(self.world.admin.create(email, word, admin=admin))
            return
        self.world.run(self.world.admin.create(email, word, admin=admin))
        [found] = self.world.fetch(f"SELECT id FROM users WHERE email = '{email}'")  # noqa: S608 - our own address
        self.people[email] = Person(email, str(found), word, verified=True, admin=admin)

    @rule(data=st.data(), worker=st.integers(1, 2), right=st.sampled_from((True, True, True, False)))
    def somebody_logs_in(self, data: st.DataObject, worker: int, *, right: bool) -> None:
        """Whoever there is, or is not."""
        self.log_in(
            data.draw(st.sampled_from([*self.people.values(), Person("nobody@example.org", "", "x")])),
            worker,
            right=right,
        )

    def log_in(self, person: Person, worker: int, *, right: bool) -> None:
        """The password opens a new session, unless the account is disabled or the worker wants a verified address."""
        agent = f"client {sum(len(each.logins) for each in self.people.values())}"
        word = person.password if right else "not the password"
        body = {"email": person.email, "password": word}
        answer = self.world.call("POST", "/auth/login", body=body, worker=worker, agent=agent)
        if not right or not person.id or person.disabled:
            assert (answer.status_code, answer.json()["code"]) == (401, "credentials-rejected")
        elif worker == 2 and not person.verified:
            assert (answer.status_code, answer.json()["code"]) == (403, "email-not-verified")
        else:
            assert answer.status_code == 200, answer.text
            told = answer.json()
            assert self._as_shown(told["user"]) == person.shown()
            person.logins.append(Login(told["session_id"], told["token"], agent, self.world.now, self.world.now))

    @rule(data=st.data())
    def log_out(self, data: st.DataObject) -> None:
        """The session is over; one that was over stays it."""
        _, login = self._login(data)
        assert self.world.call("POST", "/auth/logout", login.token).status_code == self._due(login, 204)
        login.ended = login.ended or login.is_live(self.world.now)

    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        """One ends one's own sessions, the asking one too, and no other."""
        person, login = self._login(data)
        lost = data.draw(st.sampled_from([*[each.id for each in person.logins] * 2, "another's", "nobody's", "none"]))
        lost = {"another's": self._login(data)[1].id, "nobody's": str(uuid4())}.get(lost, lost)
        # A session that ran out has its row until it is swept, so it can be ended, too.
        found = [each for each in person.logins if each.id == lost and not each.ended]
        over = [each for each in found if not each.is_live(self.world.now)]
        status = self.world.call("DELETE", f"/auth/sessions/{lost}", login.token).status_code
        assert status in {
            self._due(login, 204 if found else 404),
            self._due(login, 404 if over else 204 if found else 404),
        }
        for each in found if login.is_live(self.world.now) else ():
            each.ended = True

    @rule(data=st.data())
    def revoke_others(self, data: st.DataObject) -> None:
        """All but the asking session are over."""
        person, login = self._login(data)
        assert self.world.call("DELETE", "/auth/sessions", login.token).status_code == self._due(login, 204)
        if login.is_live(self.world.now):
            person.end(but=login)

    @rule(
        data=st.data(),
        change=st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from((None, "Ann", "Zoë")),
                "bio": st.sampled_from((None, "", "Two\nlines")),
                "avatar_url": st.sampled_from((None, "https://example.org/a.png")),
                "locale": st.sampled_from((None, "en", "pt-BR")),
                "timezone": st.sampled_from((None, "Europe/Berlin")),
            },
        ),
    )
    def change_profile(self, data: st.DataObject, change: dict[str, str | None]) -> None:
        """What is given is changed or emptied, what is not given stays; nothing given is refused."""
        person, login = self._login(data)
        answer = self.world.call("PUT", "/users/profile", login.token, change)
        assert answer.status_code == self._due(login, 200 if change else 422), answer.text
        if answer.status_code == 200:
            person.profile.update(change)
            assert {name: answer.json()[name] for name in FIELDS} == person.shown()["profile"]
            assert datetime.fromisoformat(answer.json()["updated_at"]) == self.world.now

    @rule(data=st.data(), right=st.sampled_from((True, True, False)))
    def change_password_while_a_token_is_out(self, data: st.DataObject, *, right: bool) -> None:
        """A token that could have reset the password is worthless once its owner has changed it."""
        person, login = self._login(data)
        self.ask_for_a_token(person.email, "reset")
        self._change_password(person, login, right=right)
        if person.mailed:
            self._redeem(person, person.mailed[-1], rightly=True)

    @rule(data=st.data(), right=st.sampled_from((True, True, False)))
    def change_password(self, data: st.DataObject, *, right: bool) -> None:
        """Who knows the old one replaces it; other sessions and the reset tokens that are out are over."""
        self._change_password(*self._login(data), right=right)

    def _change_password(self, person: Person, login: Login, *, right: bool) -> None:
        word, old = next(self._words), person.password if right else "not the password"
        body = {"current_password": old, "new_password": word}
        answer = self.world.call("POST", "/auth/password", login.token, body)
        assert answer.status_code == self._due(login, 204 if right else 422), answer.text
        if answer.status_code == 204:
            person.password = word
            person.end(but=login)
            person.spend("reset")
            self._mail(person, "changed")

    @rule(email=st.sampled_from((*ADDRESSES, "nobody@example.org")), purpose=st.sampled_from(("verify", "reset")))
    def ask_for_a_token(self, email: str, purpose: str) -> None:
        """The answer is the same for everybody; the mail goes to who has an account and a use for it."""
        path = "/auth/password/forgot" if purpose == "reset" else "/auth/verify-email/resend"
        assert self.world.call("POST", path, body={"email": email}).status_code == 202
        person = self.people.get(email)
        has_use = person and not person.disabled and not (purpose == "verify" and person.verified)
        self._mail(person, purpose if has_use else "")

    @precondition(lambda self: any(person.mailed for person in self.people.values()))
    @rule(data=st.data(), rightly=st.sampled_from((True, True, True, False)))
    def redeem(self, data: st.DataObject, *, rightly: bool) -> None:
        """A token works once, in its time, for its purpose, and not for who is disabled."""
        found = {f"{p.email} {n}": (p, m) for p in self.people.values() for n, m in enumerate(p.mailed)}
        good = [each for each, (_, mailed) in found.items() if mailed.is_good(self.world.now)]
        self._redeem(*found[data.draw(st.sampled_from(good * 3 + list(found)))], rightly=rightly)

    @rule(data=st.data())
    def recover(self, data: st.DataObject) -> None:
        """Who forgot the password gets in by mail."""
        person = self.people[data.draw(st.sampled_from(list(self.people)))]
        self.ask_for_a_token(person.email, "reset")
        if person.mailed:
            self._redeem(person, person.mailed[-1], rightly=True)
        self.log_in(person, worker=2, right=True)

    @rule(data=st.data())
    def prove_an_address(self, data: st.DataObject) -> None:
        """Whoever was kept out before is let in right after."""
        person = self.people[data.draw(st.sampled_from(list(self.people)))]
        self.log_in(person, worker=2, right=True)
        self.ask_for_a_token(person.email, "verify")
        if person.mailed:
            self._redeem(person, person.mailed[-1], rightly=True)
        self.log_in(person, worker=2, right=True)

    def _redeem(self, person: Person, mailed: Mailed, *, rightly: bool) -> None:
        resets, word = (mailed.purpose == "reset") == rightly, next(self._words)
        path = "/auth/password/reset" if resets else "/auth/verify-email"
        answer = self.world.call("POST", path, body={"token": mailed.text} | ({"new_password": word} if resets else {}))
        is_spent = rightly and mailed.is_good(self.world.now)
        mailed.spent = mailed.spent or is_spent
        works = is_spent and not person.disabled
        assert answer.status_code == (204 if works else 400), answer.text
        if works:
            person.verified = True
        if works and resets:
            person.password = word
            person.end()
            self._mail(person, "changed")

    @rule(data=st.data(), limit=st.integers(1, 4))
    def list_users(self, data: st.DataObject, limit: int) -> None:
        """Administrators turn pages of all users, oldest first; others may not."""
        person, login = self._login(data)
        if not (person.admin and login.is_live(self.world.now)):
            assert self.world.call("GET", "/users", login.token).status_code == self._due(login, 403)
            return
        shown = ("email", "role", "email_verified", "name")
        told = [
            (*(user[name] for name in shown), bool(user["disabled_at"])) for user in self._pages("/users", login, limit)
        ]
        assert told == [
            (p.email, p.shown()["role"], p.verified, p.profile.get("name"), p.disabled) for p in self.people.values()
        ]

    @rule(data=st.data(), limit=st.integers(1, 4))
    def list_sessions(self, data: st.DataObject, limit: int) -> None:
        """Whoever turns the pages sees each valid session once."""
        person, login = self._login(data)
        self.log_in(person, worker=1, right=True)
        if login.is_live(self.world.now):
            told = [session["id"] for session in self._pages("/auth/sessions", login, limit)]
            assert told == [each.id for each in person.live(self.world.now)]

    @rule(
        email=st.sampled_from((*ADDRESSES, "nobody@example.org")),
        what=st.sampled_from(("promote", "demote", "disable", "enable", "enable")),
    )
    def administrate(self, email: str, what: str) -> None:
        """The commands change who may do what, at once; a disabled account has no session."""
        admin, person = self.world.admin, self.people.get(email)
        changes: dict[str, Callable[[], Awaitable[Any]]] = {
            "disable": lambda: admin.disable(email),
            "enable": lambda: admin.enable(email),
            "promote": lambda: admin.set_admin(email, admin=True),
            "demote": lambda: admin.set_admin(email, admin=False),
        }
        if person is None:
            with pytest.raises(NotFound):
                self.world.run(changes[what]())
            return
        said = self.world.run(changes[what]())
        if what == "disable":
            assert len(person.live(self.world.now)) <= said <= len(person.logins)
            person.disabled = True
            person.end()
        elif what == "enable":
            person.disabled = False
        else:
            person.admin = what == "promote"

    @rule(minutes=st.sampled_from((1, 10, 10, 90, 90, 36 * 60, 36 * 60, 10 * 24 * 60, 15 * 24 * 60)))
    def time_passes(self, minutes: int) -> None:
        """Sessions that nobody uses run out, and so do tokens."""
        for person in self.people.values():
            for login in person.logins:
                login.see(self.world.now)  # the invariants have just used it
        self.world.keep_house()
        self.world.now += timedelta(minutes=minutes)

    @rule()
    def the_cache_forgets(self) -> None:
        """Nobody notices."""
        self.world.forget()

    @rule()
    def who_has_no_session_gets_nothing(self) -> None:
        """Every route that needs a session refuses a token of nobody's."""
        body = {"current_password": "x", "new_password": next(self._words)}
        for method, path in NEED_A_SESSION:
            sent = body if path == "/auth/password" else {"bio": "x"} if path == "/users/profile" else None
            assert self.world.call(method, path, "gw_" + "A" * 64, sent).status_code == 401
        assert self.world.call("GET", "/health/live").json() == {"status": "ok"}
        assert self.world.call("GET", "/health/ready").json()["status"] == "ok"

    @invariant()
    def tokens_open_what_the_model_says(self) -> None:
        """Each live token is accepted for its own session, and each dead one refused."""
        self.world.steps += 1
        for person in self.people.values():
            for login in person.logins:
                answer = self.world.call("GET", "/auth/check", login.token)
                assert answer.status_code == self._due(login, 204), (person, login)
                if answer.status_code == 204:
                    assert (answer.headers["x-user-id"], answer.headers["x-session-id"]) == (person.id, login.id)

    @invariant()
    def everybody_is_shown_what_is_theirs(self) -> None:
        """Who is logged in sees the account and all valid sessions as they are."""
        for person in self.people.values():
            live = person.live(self.world.now)
            for login in live[:1]:
                assert self._as_shown(self.world.call("GET", "/auth/me", login.token).json()) == person.shown()
                page = self.world.call("GET", "/auth/sessions?limit=100", login.token).json()
                assert page["next_cursor"] is None
                told = [(item["id"], item["client"], item["current"]) for item in page["items"]]
                assert told == [(each.id, each.client, each is login) for each in live]

    @invariant()
    def the_rows_are_those_of_the_model(self) -> None:
        """Each account has one profile, and no session that was ended has a row."""
        ids = {person.id for person in self.people.values()}
        for query in ("SELECT id FROM users", "SELECT user_id FROM profiles"):
            found = self.world.fetch(query)
            assert ({str(each) for each in found}, len(found)) == (ids, len(ids))
        logins = [login for person in self.people.values() for login in person.logins]
        kept = {str(each) for each in self.world.fetch("SELECT id FROM sessions")}
        assert {login.id for login in logins if login.is_live(self.world.now)} <= kept
        assert kept <= {login.id for login in logins if not login.ended}

    def _login(self, data: st.DataObject) -> tuple[Person, Login]:
        """Choose a session, three times as often one that is valid."""
        found = {login.client: (person, login) for person in self.people.values() for login in person.logins}
        live = [client for client, (_, login) in found.items() if login.is_live(self.world.now)]
        return found[data.draw(st.sampled_from(live * 3 + list(found)))]

    def _pages(self, path: str, login: Login, limit: int) -> Iterator[dict[str, Any]]:
        """Turn the pages of a list."""
        cursor = ""
        while cursor is not None:
            page = self.world.call("GET", f"{path}?limit={limit}{cursor and '&cursor='}{cursor}", login.token).json()
            assert len(page["items"]) <= limit
            yield from page["items"]
            cursor = page["next_cursor"]

    def _due(self, login: Login, status: int) -> int:
        """Return the status that is due: this one, or 401 when the session is over."""
        return status if login.is_live(self.world.now) else 401

    def _mail(self, person: Person | None, kind: str) -> None:
        """Get the one mail that is due, or none."""
        mails = self.world.mails()
        assert [(to, what) for to, what, _ in mails] == ([(person.email, kind)] if person and kind else [])
        for _, what, token in mails:
            if token and person:
                person.get(what, token, self.world.now)

    @staticmethod
    def _as_shown(user: dict[str, Any]) -> dict[str, Any]:
        profile = {name: user["profile"][name] for name in FIELDS}
        return {name: user[name] for name in ("id", "email", "email_verified", "role")} | {"profile": profile}


@pytest.fixture
async def world(database_url: str, redis: Server, data_dir: Path) -> AsyncIterator[World]:
    """Run two workers, of which the second wants verified addresses."""
    usual = Settings(
        database_url=database_url,
        redis_url=redis.url,
        data_dir=data_dir,
        workers=1,
        secret="s" * 43,
        rate_limits=False,
        redis_timeout=10,  # a busy machine is not one whose Redis is away
        query_timeout=30,
    )
    async with driven(usual, replace(usual, require_verified_email=True)) as driver:
        yield driver


async def test_the_api_does_what_its_model_does(world: World) -> None:
    """No order of requests, commands, waiting and losing the cache makes the service say what the model does not."""
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        derandomize="EXAMPLES" not in os.environ,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    await asyncio.to_thread(lambda: run_state_machine_as_test(lambda: Api(world), settings=chosen))  # type: ignore[arg-type] # a function will do
    print(f"{world.examples} examples, {world.steps} steps, {sum(world.answered.values())} requests")  # noqa: T201 - shown with -s
    granted = {(method, path) for method, path, status in world.answered if status < 300}
    assert STEPS * EXAMPLES < 1000 or {(each.method, each.path) for each in OPERATIONS} <= granted
