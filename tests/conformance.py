"""What Schemathesis must know of us: how to make texts of our formats, and how to log in.

It runs as a program of its own; ``CONFORMANCE_URL`` says where the service answers, ``CONFORMANCE_ADMIN`` holds an
administrator's token.
"""

from __future__ import annotations

import os
import zoneinfo
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode

from app.passwords import password_rule
from app.services import rules
from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemathesis import AuthContext, Case

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Login:
    """A session and whose it is."""

    email: str
    token: str
    session_id: str = ""


def _is_kept(rule: Callable[[str], str]) -> Callable[[str], bool]:
    """Tell of a text whether it keeps to a rule that JSON Schema has no words for."""

    def keeps(text: str) -> bool:
        try:
            rule(text)
        except ValueError:
            return False
        return True

    return keeps


schemathesis.openapi.format("iana-time-zone", st.sampled_from(sorted(zoneinfo.available_timezones())))
# Its length is bounded in bytes, too, and the most common ones are refused.
schemathesis.openapi.format(
    "password", st.text(st.characters(codec="utf-8")).filter(_is_kept(password_rule(Settings(password_min_length=0))))
)
# The standard's addresses include quoted names and reserved domains, to which no mail goes.
schemathesis.openapi.format("email", st.emails().filter(_is_kept(rules.email)))


@schemathesis.auth(refresh_interval=None)
class OwnSession:
    """Logs in a person of its own for each operation, anew when a case has ended the session.

    What only a running service knows is put into valid cases: the present password, and the id of a second session.
    """

    def __init__(self) -> None:
        self._client = httpx.Client(base_url=os.environ["CONFORMANCE_URL"], timeout=20)
        self._logins: dict[str, Login] = {"GET /users": Login("", os.environ["CONFORMANCE_ADMIN"])}
        self._people = 0

    def get(self, case: Case[Any], context: AuthContext) -> str:
        """Return a token that is valid now."""
        label = context.operation.label
        login = self._logins.get(label)
        if login is None or not self._is_valid(login):
            login = self._logins[label] = self._login(self._register())
        if is_valid(case) and label == "POST /auth/password" and isinstance(case.body, dict):
            # It changes the password, so the next case needs another person.
            del self._logins[label]
            case.body["current_password"] = PASSWORD
        if is_valid(case) and label == "DELETE /auth/sessions/{session_id}":
            case.path_parameters["session_id"] = self._login(login.email).session_id
        return login.token

    def set(self, case: Case[Any], data: str, _: AuthContext) -> None:
        """Put the token into a case."""
        case.headers["Authorization"] = f"Bearer {data}"

    def _is_valid(self, login: Login) -> bool:
        answer = self._client.get("/auth/check", headers={"Authorization": f"Bearer {login.token}"})
        return answer.status_code == httpx.codes.NO_CONTENT

    def _register(self) -> str:
        self._people += 1
        email = f"person{self._people}@conformance.org"
        self._client.post("/auth/register", json={"email": email, "password": PASSWORD}).raise_for_status()
        return email

    def _login(self, email: str) -> Login:
        answer = self._client.post("/auth/login", json={"email": email, "password": PASSWORD}).raise_for_status()
        return Login(email, answer.json()["token"], answer.json()["session_id"])


def is_valid(case: Case[Any]) -> bool:
    """Tell whether a case keeps to the document."""
    return case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
