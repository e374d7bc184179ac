"""What a virtual user does on Gatewatch: the steps, their requests as bytes, and what is learnt from the answers.

A measured logout needs a session that exists, and its user must not be left without one. So there is a stock of spare
sessions: a measured login replaces its user's session and puts the old one into the stock, a logout ends the oldest one of
the stock. As logins are at least as frequent as logouts, a stock that begins with a few spares does not run out.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from loadgen.workload import Payload, Step, VirtualUser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loadgen.client import Answer
    from loadgen.target import Target

_STOCK_LIMIT = (
    10_000  # Past it the oldest spare session is forgotten and left to expire: a soak must not grow for ever.
)


STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        Step("register", "POST", "/auth/register", (201,)),
        Step("login", "POST", "/auth/login", (200,)),
        Step("check", "GET", "/auth/check", (204,)),
        Step("me", "GET", "/auth/me", (200,)),
        Step("logout", "POST", "/auth/logout", (204,)),
        Step("profile", "PUT", "/users/profile", (200,)),
    )
}


_END = b"\r\n"


class _LoginAnswer(msgspec.Struct):
    token: str


class Journeys:
    """Builds the requests of one sending process. ``run`` makes its addresses unlike those of any other run.

    Of ``parts`` processes, the one numbered ``part`` registers every ``parts``-th newcomer, so that none is met twice.
    """

    steps = STEPS
    unready = "no session"

    def __init__(self, target: Target, run: str, password: str, *, part: int = 0, parts: int = 1) -> None:
        self._target = target
        self._run = run.lower()
        self._password = password
        self._newcomers = part + 1 - parts
        self._parts = parts
        self._updates = 0
        self.spares: deque[str] = deque(maxlen=_STOCK_LIMIT)
        self._login = msgspec.json.Decoder(_LoginAnswer)
        self._heads = {name: self._head(step) for name, step in STEPS.items()}
        self._builders: dict[str, Callable[[VirtualUser], Payload | None]] = {
            "register": lambda _: self._register(self._newcomer()),
            "login": self._log_in,
            "check": partial(_asking, self._heads["check"]),
            "me": partial(_asking, self._heads["me"]),
            "logout": lambda _: self._log_out() if self.spares else None,
            "profile": self._profile,
        }

    def user(self, number: int) -> VirtualUser:
        """Return the virtual user of that number, not yet registered."""
        return VirtualUser(number, f"u{number}.{self._run}@load.invalid")

    def preparation(self, users: int, spares: int) -> Iterator[tuple[str, ...]]:
        """Everyone is registered and logged in; the spare sessions are opened by logging in again."""
        for number in range(users):
            yield ("register", *["login"] * (1 + spares // users + (number < spares % users)))

    def prepare(self, step: str, user: VirtualUser) -> Payload:
        """Return a registration or a login of this user itself."""
        return self._register(user.email) if step == "register" else self._log_in(user)

    def request(self, step: str, user: VirtualUser) -> Payload | None:
        """Return the bytes of the next request of a step, or None when there is no session that a logout could end."""
        return self._builders[step](user)

    def learn(self, step: str, user: VirtualUser, answer: Answer) -> bool:
        """Take in an expected answer; return False for a login without a token that a header can carry."""
        if step != "login":
            return True
        token = self._token(answer.body)
        if token is None:
            return False
        if user.token:
            self.spares.append(user.token)
        user.token, user.bearer = token, _bearer(token)
        return True

    def _token(self, body: bytes) -> str | None:
        try:
            token = self._login.decode(body).token
        except msgspec.DecodeError:
            return None
        return token if token and token.isascii() and token.isprintable() and " " not in token else None

    def _newcomer(self) -> str:
        self._newcomers += self._parts
        return f"r{self._newcomers}.{self._run}@load.invalid"

    def _register(self, email: str) -> Payload:
        return self._with_body("register", {"email": email, "password": self._password, "name": "Load"})

    def _log_in(self, user: VirtualUser) -> Payload:
        return self._with_body("login", {"email": user.email, "password": self._password})

    def _profile(self, user: VirtualUser) -> Payload:
        self._updates += 1
        return self._with_body("profile", {"bio": f"Update {self._updates} of {self._run}"}, user.bearer)

    def _head(self, step: Step) -> bytes:
        return (
            f"{step.method} {step.route} HTTP/1.1\r\nHost: {self._target.authority}\r\n"
            "User-Agent: gatewatch-load\r\nAccept: application/json\r\n"
        ).encode("ascii")

    def _log_out(self) -> Payload:
        return Payload(self._heads["logout"], _bearer(self.spares.popleft()) + b"Content-Length: 0\r\n" + _END)

    def _with_body(self, step: str, body: dict[str, str], bearer: bytes = b"") -> Payload:
        content = msgspec.json.encode(body)
        rest = b"%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (bearer, len(content), content)
        return Payload(self._heads[step], rest)


def _bearer(token: str) -> bytes:
    return b"Authorization: Bearer %b\r\n" % token.encode("ascii")


def _asking(head: bytes, user: VirtualUser) -> Payload:
    """Return a request that says nothing but who asks."""
    return Payload(head, user.bearer + _END)
