"""What the engine needs to know of a service: steps, the requests as bytes, and what is learnt from answers."""

from __future__ import annotations

import secrets
from binascii import hexlify
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadgen.client import Answer

_MASK = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15  # 2 ** 64 / golden ratio: its multiples spread evenly and repeat only after 2 ** 64


class Step(msgspec.Struct, frozen=True):
    """One kind of request: its method, its route in targets and reports, and the statuses that it expects."""

    name: str
    method: str
    route: str
    expected: tuple[int, ...]


class VirtualUser:
    """One of those who ask: a number, an address, the session that its requests carry, and what it took from answers."""

    __slots__ = ("bearer", "email", "number", "token", "values")

    def __init__(self, number: int, email: str = "") -> None:
        self.number = number
        self.email = email
        self.token = ""
        self.bearer = b""
        self.values: dict[str, str] = {}


class Payload(NamedTuple):
    """A request in two parts, between which other header lines may stand; ``states`` says that it has a tracestate of its own."""

    head: bytes
    rest: bytes
    states: bool = False


class Workload(Protocol):
    """The steps of one service. A request that cannot be built is told by None and counts as failed."""

    unready: str
    """The kind of failure that a request is which cannot be built."""

    @property
    def steps(self) -> Mapping[str, Step]:
        """The steps by their names."""

    def user(self, number: int) -> VirtualUser:
        """Return the virtual user of that number, not yet prepared."""

    def preparation(self, users: int, spares: int) -> Iterator[tuple[str, ...]]:
        """Yield, for each of so many users, the steps by which it is prepared."""

    def prepare(self, step: str, user: VirtualUser) -> Payload | None:
        """Return the bytes of a step that prepares a user."""

    def request(self, step: str, user: VirtualUser) -> Payload | None:
        """Return the bytes of the next request of a step."""

    def learn(self, step: str, user: VirtualUser, answer: Answer) -> bool:
        """Take in an expected answer; return False when it lacks what later requests need from it."""


class Traces:
    """Trace ids (W3C Trace Context) for numbered requests, without drawing randomness for each.

    The low half differs evenly from request to request, because samplers decide by it. A share of them ask for keeping. Beside
    the ids, in the trace state, the service is told how long the request waited here.
    """

    def __init__(self, sampled: float, *, high: int | None = None, low: int | None = None) -> None:
        self._high = high or secrets.randbits(64) | 1
        self._low = low or secrets.randbits(64)
        self._below = int(sampled * (1 << 64))
        self._begin = b"traceparent: 00-%016x" % self._high

    def lines(self, number: int, waited: float, *, asked: bool = False, states: bool = False) -> bytes:
        """Return the header lines of a request that waited so many seconds; without a trace state when it has one of its own.

        ``asked`` says that its trace is to be kept whatever the share.
        """
        low = (self._low + number * _ODD) & _MASK
        name = hexlify(low.to_bytes(8))  # The span is named by it, too.
        if states:
            return b"%b%b-%b-0%d\r\n" % (self._begin, name, name, asked or low < self._below)
        return b"%b%b-%b-0%d\r\ntracestate: gatewatch=w:%08d\r\n" % (
            self._begin,
            name,
            name,
            asked or low < self._below,
            waited * 1e6,
        )

    def asked(self, number: int) -> bool:
        """Return whether a request is one of the share whose traces the service was asked to keep."""
        return (self._low + number * _ODD) & _MASK < self._below

    def trace_id(self, number: int) -> str:
        """Return the trace id of a request, 32 hexadecimal digits."""
        return f"{self._high:016x}{(self._low + number * _ODD) & _MASK:016x}"
