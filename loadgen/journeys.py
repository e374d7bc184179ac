"""What a virtual user does on this service: the steps, their requests as bytes, and what is learnt from the answers.

A measured logout needs a session that exists, and its user must not be left without one. So there is a stock of spare
sessions: a measured login replaces its user's session and puts the old one into the stock, a logout ends the oldest one of
the stock. As logins are at least as frequent as logouts, a stock that begins with a few spares does not run out.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.target import Target

_STOCK_LIMIT = (
    10_000  # Past it the oldest spare session is forgotten and left to expire: a soak must not grow for ever.
)


class Step(msgspec.Struct, frozen=True):
    """One kind of request: its method, its path (which is also its route) and the status that it expects."""

    name: str
    method: str
    route: str
    expected: int


STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        Step("register", "POST", "/auth/register", 201),
        Step("login", "POST", "/auth/login", 200),
        Step("check", "GET", "/auth/check", 204),
        Step("me", "GET", "/auth/me", 200),
        Step("logout", "POST", "/auth/logout", 204),
        Step("profile", "PUT", "/users/profile", 200),
    )
}


class VirtualUser:
    """A prepared account and the session that its requests carry."""

    __slots__ = ("email", "token")

    def __init__(self, email: str) -> None:
        self.email = email
        self.token = ""


class _LoginAnswer(msgspec.Struct):
    token: str


class Journeys:
    """Builds the requests of one run. ``run`` makes its addresses unlike those of any other run."""

    def __init__(self, target: Target, run: str, password: str) -> None:
        self._target = target
        self._run = run.lower()
        self._password = password
        self._newcomers = 0
        self._updates = 0
        self.spares: deque[str] = deque(maxlen=_STOCK_LIMIT)
        self._login = msgspec.json.Decoder(_LoginAnswer)
        self._heads = {name: self._head(step) for name, step in STEPS.items()}
        self._builders: dict[str, Callable[[VirtualUser], bytes | None]] = {
            "register": lambda _: self.register(self._newcomer()),
            "login": self.login,
            "check": lambda user: self._bare("check", user.token),
            "me": lambda user: self._bare("me", user.token),
            "logout": lambda _: self._bare("logout", self.spares.popleft()) if self.spares else None,
            "profile": self._profile,
        }

    def user(self, number: int) -> VirtualUser:
        """Return the virtual user of that number, not yet registered."""
        return VirtualUser(f"u{number}.{self._run}@load.invalid")

    def request(self, step: str, user: VirtualUser) -> bytes | None:
        """Return the bytes of the next request of a step, or None when there is no session that a logout could end."""
        return self._builders[step](user)

    def register(self, email: str) -> bytes:
        """Return a registration of an address."""
        return self._with_body("register", {"email": email, "password": self._password, "name": "Load"})

    def login(self, user: VirtualUser) -> bytes:
        """Return a login of a user."""
        return self._with_body("login", {"email": user.email, "password": self._password})

    def learn(self, step: str, user: VirtualUser, body: bytes) -> bool:
        """Take in an expected answer; return False when it lacks what the journey needs from it."""
        if step != "login":
            return True
        token = self.token(body)
        if token is None:
            return False
        if user.token:
            self.spares.append(user.token)
        user.token = token
        return True

    def token(self, body: bytes) -> str | None:
        """Return the session token of a login's answer, or None when there is none that a header can carry."""
        try:
            token = self._login.decode(body).token
        except msgspec.DecodeError:
            return None
        return token if token and token.isascii() and token.isprintable() and " " not in token else None

    def _newcomer(self) -> str:
        self._newcomers += 1
        return f"r{self._newcomers}.{self._run}@load.invalid"

    def _profile(self, user: VirtualUser) -> bytes:
        self._updates += 1
        return self._with_body("profile", {"bio": f"Update {self._updates} of {self._run}"}, user.token)

    def _head(self, step: Step) -> bytes:
        return (
            f"{step.method} {step.route} HTTP/1.1\r\nHost: {self._target.authority}\r\n"
            "User-Agent: gatewatch-load\r\nAccept: application/json\r\n"
        ).encode("ascii")

    def _bare(self, step: str, token: str) -> bytes:
        length = b"" if STEPS[step].method == "GET" else b"Content-Length: 0\r\n"
        return b"%bAuthorization: Bearer %b\r\n%b\r\n" % (self._heads[step], token.encode("ascii"), length)

    def _with_body(self, step: str, body: dict[str, str], token: str = "") -> bytes:
        content = msgspec.json.encode(body)
        bearer = b"Authorization: Bearer %b\r\n" % token.encode("ascii") if token else b""
        return b"%b%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            self._heads[step],
            bearer,
            len(content),
            content,
        )
